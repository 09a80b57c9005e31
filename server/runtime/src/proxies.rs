//! The address that a connection comes from: what proxies say about it, and which proxies are trusted.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use crate::{
    forwarded::{Hop, hops},
    notice::Notice,
};

/// Why the address that a trusted proxy passes on may not be the reader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    /// It passes on none.
    Silent,
    /// The header has text that is not an address.
    NoAddress,
    /// It names a program on its own machine.
    Loopback,
}

/// The proxies that the operator has named.
pub(crate) struct Proxies {
    /// The proxies whose headers are trusted.
    trusted: Vec<IpNet>,
    /// The header in which they name the reader's address.
    client_ip_header: HeaderName,
}

impl Proxies {
    pub(crate) fn new(trusted: Vec<IpNet>, client_ip_header: HeaderName) -> Self {
        Self { trusted, client_ip_header }
    }

    /// Whether the peer forwards others: it is a named proxy, or a program on this machine.
    pub(crate) fn is_proxy(&self, peer: IpAddr) -> bool {
        is_loopback(peer) || self.is_trusted(peer)
    }

    fn is_trusted(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&peer.to_canonical()))
    }

    /// The address that a request comes from. Only named proxies are trusted. Of the addresses that they pass on, this is the
    /// last one that is not a named proxy's.
    pub(crate) fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        static UNNAMED: Notice = Notice::warning();
        if !self.is_trusted(peer) {
            if self.is_proxy(peer) && is_passed_on(headers) {
                UNNAMED.give(|| {
                    format!(
                        "a proxy on this machine is not named, so no limit per address applies; add --trusted-proxy {peer}"
                    )
                });
            }
            return peer;
        }
        let (address, problem) = self.reader(peer, hops(headers, &self.client_ip_header));
        // Programs on the proxy's own machine may send requests without the header.
        if let Some(problem) = problem
            && (problem != Problem::Silent || !is_loopback(peer) || is_passed_on(headers))
        {
            self.tell(problem, peer, address);
        }
        address
    }

    /// The address that the entries of the header name, and why it may not be the reader's.
    ///
    /// An entry that is no address is skipped. If a proxy on another machine names loopback, the search ends, and the
    /// request counts for that proxy.
    fn reader(&self, peer: IpAddr, hops: Vec<Hop>) -> (IpAddr, Option<Problem>) {
        if hops.is_empty() {
            return (peer, Some(Problem::Silent));
        }
        let mut address = peer;
        let mut problem = None;
        for hop in hops {
            match hop {
                Hop::NoAddress => problem = Some(Problem::NoAddress),
                Hop::Address(hop) if is_loopback(hop) && !is_loopback(address) => {
                    return (address, Some(Problem::Loopback));
                }
                Hop::Address(hop) => address = hop,
            }
            if !self.is_trusted(address) {
                break;
            }
        }
        (address, problem.or(is_loopback(address).then_some(Problem::Loopback)))
    }

    /// Logs that a trusted proxy does not name its reader, and how the limits apply.
    fn tell(&self, problem: Problem, peer: IpAddr, address: IpAddr) {
        static SILENT: Notice = Notice::warning();
        static NO_ADDRESS: Notice = Notice::warning();
        static LOOPBACK: Notice = Notice::warning();
        let header = &self.client_ip_header;
        let result = if is_loopback(address) {
            "no limit per address applies to such requests".to_owned()
        } else if address == peer || self.is_trusted(address) {
            format!("all such requests count as one address, {address}")
        } else {
            "the address before it is taken".to_owned()
        };
        let remedy = "let it send the reader's address, or name the header that has it with --client-ip-header";
        match problem {
            Problem::Silent => {
                SILENT.give(|| format!("the trusted proxy {peer} sends no {header}, so {result}; {remedy}"));
            }
            Problem::NoAddress => NO_ADDRESS.give(|| {
                format!("the trusted proxy {peer} sends text in {header} that is not an address, so {result}; {remedy}")
            }),
            Problem::Loopback => LOOPBACK.give(|| {
                format!("the trusted proxy {peer} names only its own machine in {header}, so {result}; {remedy}")
            }),
        }
    }

    /// Logs that a machine of the operator's sends something else than HTTP/1.1, because it is probably a proxy. From elsewhere this
    /// is normal: programs try all addresses of the internet.
    ///
    /// The reason does not tell the PROXY protocol from a blank in an address, so the line has the remedy for both.
    pub(crate) fn tell_no_http(&self, peer: IpAddr, reason: &hyper::Error) {
        static NO_HTTP: Notice = Notice::warning();
        if is_private(peer) || self.is_trusted(peer) {
            NO_HTTP.give(|| {
                format!(
                    "{peer} sent something that is not an HTTP/1.1 request: {reason}. If it is a proxy, let it pass on addresses \
                     encoded, as they came, and speak plain HTTP/1.1 to this server, without TLS, HTTP/2 and the PROXY protocol"
                )
            });
        }
    }

    /// Logs that a machine of a private network has reached a limit of one address, because it is probably a proxy.
    pub(crate) fn tell_refused(&self, address: IpAddr) {
        static REFUSED: Notice = Notice::warning();
        if is_private(address) && !self.is_trusted(address) {
            REFUSED.give(|| {
                format!("{address} has reached a limit of one address; if it is a proxy, add --trusted-proxy {address}")
            });
        }
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether a proxy has forwarded the request: its headers say so, or its host name is not this machine's.
fn is_passed_on(headers: &HeaderMap) -> bool {
    const SIGNS: [&str; 5] = ["forwarded", "x-real-ip", "via", "x-original-forwarded-for", "cdn-loop"];
    let is_sign = |name: &str| {
        name.starts_with("x-forwarded-")
            || name.ends_with("-client-ip")
            || name.starts_with("cf-")
            || SIGNS.contains(&name)
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<http::uri::Authority>().ok());
    let is_local = host.is_none_or(|host| {
        let name = host.host().trim_matches(['[', ']']);
        name == "localhost"
            || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
            || !name.contains(['.', ':'])
    });
    !is_local || headers.keys().any(|name| is_sign(name.as_str()))
}

/// Whether an address belongs to a private network. Then it is one of the operator's machines, and not a reader. Hosting providers
/// and VPNs also use the shared addresses of RFC 6598, 100.64.0.0/10.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let is_shared = matches!(address.octets(), [100, 64..128, ..]);
            address.is_private() || is_shared || address.is_link_local() || address.is_loopback()
        }
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> Proxies {
        let trusted = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        Proxies::new(trusted, HeaderName::from_static("x-forwarded-for"))
    }

    #[test]
    fn named_proxies_and_loopback_count_as_proxies() {
        for (peer, is_proxy) in
            [("10.0.0.1", true), ("::ffff:10.0.0.1", true), ("127.0.0.1", true), ("192.0.2.1", false)]
        {
            assert_eq!(proxies().is_proxy(peer.parse().unwrap()), is_proxy, "{peer}");
        }
    }

    #[test]
    fn forwarded_requests_are_recognized_by_their_headers() {
        let is_passed_on = |name: &'static str, value: &'static str| {
            super::is_passed_on(&HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())]))
        };
        for (name, value) in [("x-forwarded-for", "192.0.2.1"), ("via", "1.1 Caddy"), ("host", "live.example.org")] {
            assert!(is_passed_on(name, value), "{name}: {value}");
        }
        for host in ["localhost:1999", "127.0.0.1:1999", "[::1]:1999", "x"] {
            assert!(!is_passed_on("host", host), "{host}");
        }
    }

    #[test]
    fn forwarded_addresses_are_read_from_the_right() {
        let proxies = proxies();
        let address = |peer: &str, lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            proxies.address(peer.parse().unwrap(), &headers).to_string()
        };
        assert_eq!(address("192.0.2.9", &["198.51.100.1"]), "192.0.2.9");
        assert_eq!(address("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &["1.1.1.1, 198.51.100.1", "10.0.0.2"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &["1.1.1.1, 198.51.100.1:4711", "[fd00::2]:80"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &[]), "10.0.0.1");
        // Loopback is not a named proxy. Otherwise anyone on the machine could claim any address.
        assert_eq!(address("127.0.0.1", &["198.51.100.1"]), "127.0.0.1");
        // An entry that is no address is skipped.
        assert_eq!(address("10.0.0.1", &["198.51.100.1, unknown"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &["198.51.100.1, unknown", "[fd00::2]:80"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &["unknown, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &["unknown"]), "10.0.0.1");
        // Loopback means the proxy's own machine, which is not this one.
        for own in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "[::1]:80"] {
            assert_eq!(address("10.0.0.1", &[own]), "10.0.0.1", "{own}");
            assert_eq!(address("10.0.0.1", &["198.51.100.1", own, "10.0.0.2"]), "10.0.0.2", "{own}");
        }
    }
}
