//! adieu: a small HTTP/1.1 server for embedded Linux.
//!
//! The map of the crate. Imports point one way:
//! `main -> config, doctor, reactor, service, status`; `status -> config, sys`;
//! `doctor -> connection (types), config (read only), sys`;
//! `service -> reactor, sandbox, maker, helper, script, site, report, config, sys`;
//! `reactor -> sandbox, maker, site, helper, script, connection, report, config, sys`;
//! `sandbox -> site, script (what confines them), config, sys`;
//! `maker -> helper, script, sys`;
//! `site -> helper, script (the frame), connection (types), config (read only), sys`;
//! `helper -> connection (types), config (read only), sys`;
//! `script -> connection (replies), sys`; `report -> connection (types), sys`;
//! `connection -> httparse only`; `sys -> libc and landlock only`. `tests/tidy.rs` holds these
//! directions.

pub mod cli;
pub mod config;
pub mod connection;
pub mod doctor;
pub mod helper;
pub mod maker;
pub mod reactor;
pub mod report;
pub mod sandbox;
pub mod script;
pub mod service;
pub mod site;
pub mod status;
pub mod sys;
