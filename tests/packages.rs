//! The packages of Debian, OpenWrt and Buildroot say what Cargo.toml says.
//!
//! Holds their versions, their switches for features and the configurations that they install
//! together with the sources. What needs their tools is in `packages/check`.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of texts; whatever is wrong with them shall stop it"
)]

use adieu::config::{Draft, Sizes, file};
use std::fs;
use std::path::PathBuf;

const OPENWRT: &str = "packages/openwrt/adieu/Makefile";
const BUILDROOT: &str = "packages/buildroot/adieu/adieu.mk";
const BUILDROOT_MENU: &str = "packages/buildroot/adieu/Config.in";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The words behind `mark`, up to the end of its line; a backslash goes on in the next one.
fn words_behind(name: &str, mark: &str) -> Vec<String> {
    let text = read(name).replace("\\\n", " ");
    let line = text.lines().find_map(|line| line.strip_prefix(mark));
    let line = line.unwrap_or_else(|| panic!("{name}: no line begins with {mark}"));
    line.split_whitespace().map(str::to_owned).collect()
}

/// The features of Cargo.toml in its order, `default` left out.
fn features() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let (_, features) = manifest.split_once("\n[features]\n").unwrap();
    let (features, _) = features.split_once("\n[").unwrap();
    let named = features.lines().filter_map(|line| line.split_once(" = "));
    let plain = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let names = named.map(|(name, _)| name).filter(plain);
    names
        .filter(|name| *name != "default")
        .map(str::to_owned)
        .collect()
}

/// `config-file` in a menu: `CONFIG_FILE`.
fn switch(feature: &str) -> String {
    feature.to_uppercase().replace('-', "_")
}

/// They are not in an archive of `packages/source`, whose hash they have.
fn are_here() -> bool {
    let found = path(OPENWRT).exists();
    if !found {
        println!("SKIP: the packages of OpenWrt and Buildroot are not in this archive");
    }
    found
}

#[test]
fn every_feature_is_a_switch_of_each_menu() {
    if !are_here() {
        return;
    }
    let mut openwrt = words_behind(OPENWRT, "ADIEU_FEATURES:=");
    openwrt.extend(words_behind(OPENWRT, "ADIEU_FLAVOURS:="));
    assert_eq!(openwrt, features(), "{OPENWRT}");
    assert_eq!(
        words_behind(BUILDROOT, "ADIEU_FEATURES ="),
        features(),
        "{BUILDROOT}"
    );
    let (openwrt, buildroot) = (read(OPENWRT), read(BUILDROOT_MENU));
    for feature in features() {
        let name = switch(&feature);
        assert!(
            openwrt.contains(&format!("\tconfig ADIEU_{name}\n")),
            "{OPENWRT}: no config ADIEU_{name}"
        );
        assert!(
            buildroot.contains(&format!("config BR2_PACKAGE_ADIEU_{name}\n")),
            "{BUILDROOT_MENU}: no config BR2_PACKAGE_ADIEU_{name}"
        );
    }
}

#[test]
fn every_package_has_the_version_of_the_program() {
    if !are_here() {
        return;
    }
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(words_behind(OPENWRT, "PKG_VERSION:="), [version]);
    assert_eq!(words_behind(BUILDROOT, "ADIEU_VERSION ="), [version]);
    let debian = read("packages/deb/changelog");
    assert!(
        debian.starts_with(&format!("adieu ({version}-")),
        "packages/deb/changelog begins with another version"
    );
}

#[test]
fn the_configurations_of_the_packages_are_sound() {
    if !file::BUILT {
        println!("SKIP: this build reads no configuration file");
        return;
    }
    for name in [
        "packages/deb/adieu.toml",
        "packages/buildroot/adieu/adieu.toml",
    ] {
        if !path(name).exists() && !are_here() {
            continue;
        }
        let mut draft = Draft::new();
        file::load(&mut draft, &path(name)).unwrap_or_else(|error| panic!("{error}"));
        let setup = draft
            .finish(&Sizes::default())
            .unwrap_or_else(|error| panic!("{error}"));
        let listen: Vec<String> = setup
            .config
            .listen
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(listen, ["0.0.0.0:80", "[::]:80"], "{name}");
    }
}

/// What is packed must be in the tree.
#[test]
fn every_file_of_the_debian_package_is_there() {
    if !path("conf/init").exists() {
        println!("SKIP: conf/init is not there");
        return;
    }
    let manifest = read("Cargo.toml");
    let (_, assets) = manifest.split_once("\nassets = [\n").unwrap();
    let (assets, _) = assets.split_once("\n]\n").unwrap();
    let mut found = 0;
    for source in assets.lines().filter_map(|line| line.split('"').nth(1)) {
        found += 1;
        let is_built = source.starts_with("target/");
        assert!(
            is_built || path(source).exists(),
            "{source} is not there, and packages/deb/build packs it"
        );
    }
    assert!(found > 10, "{found} files");
}
