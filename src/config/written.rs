//! Values as a configuration file has them.
//!
//! Owns how a value is written in TOML. It must not read any. Invariant: what is written here is
//! read back to the same value.

use super::network::Networks;
use super::value::{Unit, Value};

impl Value {
    /// The value as a configuration file has it.
    #[must_use]
    pub fn toml(&self) -> String {
        let array = |texts: &mut dyn Iterator<Item = String>| {
            let quoted: Vec<String> = texts.map(|text| quoted(&text)).collect();
            format!("[{}]", quoted.join(", "))
        };
        match self {
            Self::Number(n, Unit::Bytes) if *n > 0 && *n % 1024 == 0 => quoted(&self.to_string()),
            Self::Number(n, _) => n.to_string(),
            Self::Switch(on) => on.to_string(),
            Self::Path(_) | Self::Word(_) | Self::Choice(_) | Self::Mode(_) => {
                quoted(&self.to_string())
            }
            Self::Words(texts) | Self::Lines(texts) => array(&mut texts.iter().cloned()),
            Self::Networks(networks) if *networks == Networks::default() => "[]".to_owned(),
            Self::Networks(networks) => {
                array(&mut networks.to_string().split(',').map(str::to_owned))
            }
            Self::Listen(listen) => array(&mut listen.iter().map(ToString::to_string)),
        }
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
