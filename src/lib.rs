//! adieu: a small HTTP/1.1 server for embedded Linux.
//!
//! The map of the crate. Imports point one way:
//! `main -> config, reactor, service`; `service -> reactor, site, report, config, sys`;
//! `reactor -> site, connection, report, config, sys`;
//! `site -> connection (types), config (read only), sys`; `report -> connection (types), sys`;
//! `connection -> httparse only`; `sys -> libc only`. `tests/tidy.rs` holds these directions.

pub mod cli;
pub mod config;
pub mod connection;
pub mod reactor;
pub mod report;
pub mod service;
pub mod site;
pub mod sys;
