//! How values of keys are written into the fields of a configuration, and read from there.
//!
//! Owns [`Field`], for each type that a key has. It must not know any key. Invariant: what a field
//! gives, it takes, and is the same then.

use super::network::Networks;
use super::rules::Rule;
use super::speaks::Speaks;
use super::value::{Kind, Value};
use super::{AccessFormat, Dotfiles, Listen, Mode, Sandbox, Symlinks, UnknownHost};
use log::LevelFilter;
use std::path::PathBuf;

/// A field of a configuration that a key stands for.
pub(super) trait Field {
    /// Holds this value from now on; `None` when it does not fit.
    fn take(&mut self, value: Value) -> Option<()>;

    /// What it holds, for a key of this kind.
    fn give(&self, kind: Kind) -> Value;
}

/// Fields that hold whole numbers.
macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Field for $type {
            fn take(&mut self, value: Value) -> Option<()> {
                let Value::Number(n, _) = value else { return None };
                *self = n.try_into().ok()?;
                Some(())
            }

            fn give(&self, kind: Kind) -> Value {
                Value::Number((*self).into(), kind.unit())
            }
        }
    )*};
}
numbers!(u8 u16 u32 u64);

/// Fields that hold just what a value of their kind does.
macro_rules! plain {
    ($($type:ty: $kind:ident)*) => {$(
        impl Field for $type {
            fn take(&mut self, value: Value) -> Option<()> {
                let Value::$kind(own) = value else { return None };
                *self = own;
                Some(())
            }

            fn give(&self, _: Kind) -> Value {
                Value::$kind(self.clone())
            }
        }
    )*};
}
plain!(
    bool: Switch
    String: Word
    Vec<String>: Words
    PathBuf: Path
    Networks: Networks
    Vec<Listen>: Listen
    Mode: Mode
);

/// Fields that hold one of a few things, each with its word.
macro_rules! choices {
    ($($type:ty: $($word:literal $value:ident),*;)*) => {$(
        impl Field for $type {
            fn take(&mut self, value: Value) -> Option<()> {
                let Value::Choice(word) = value else { return None };
                *self = match word {
                    $($word => Self::$value,)*
                    _ => return None,
                };
                Some(())
            }

            fn give(&self, _: Kind) -> Value {
                $(if *self == Self::$value {
                    return Value::Choice($word);
                })*
                Value::Choice("") // a level that has no word here
            }
        }
    )*};
}
choices! {
    Symlinks: "within" Within, "none" None, "follow" Follow;
    Dotfiles: "hide" Hide, "serve" Serve;
    Sandbox: "on" On, "off" Off, "require" Require;
    UnknownHost: "serve" Serve, "refuse" Refuse;
    Speaks: "forwarded" Forwarded, "x-forwarded-for" XForwardedFor, "proxy-protocol" ProxyProtocol;
    LevelFilter: "off" Off, "error" Error, "warn" Warn, "info" Info, "debug" Debug;
    AccessFormat: "off" Off, "common" Common, "combined" Combined, "json" Json;
}

impl Field for Vec<Vec<u8>> {
    fn take(&mut self, value: Value) -> Option<()> {
        let Value::Words(words) = value else {
            return None;
        };
        *self = words.into_iter().map(String::into_bytes).collect();
        Some(())
    }

    fn give(&self, _: Kind) -> Value {
        let words = self.iter().map(|word| String::from_utf8_lossy(word));
        Value::Words(words.map(|word| word.into_owned()).collect())
    }
}

impl<R: Rule> Field for Vec<R> {
    fn take(&mut self, value: Value) -> Option<()> {
        let Value::Lines(lines) = value else {
            return None;
        };
        let rules: Option<Self> = lines.iter().map(|line| R::parse(line).ok()).collect();
        *self = rules?;
        Some(())
    }

    fn give(&self, _: Kind) -> Value {
        Value::Lines(self.iter().map(ToString::to_string).collect())
    }
}
