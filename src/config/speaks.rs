//! How the proxies in front of adieu say whom they speak for.

/// What is believed of a trusted proxy, and nothing beside it: a proxy that sets one of these lets
/// the others pass as its client sent them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// The field Forwarded (RFC 7239).
    Forwarded,
    /// The field X-Forwarded-For, which most proxies set (default).
    XForwardedFor,
    /// The PROXY protocol, before the first request of a connection.
    ProxyProtocol,
}
