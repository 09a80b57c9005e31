//! The addresses in `X-Forwarded-For` and similar headers, in which proxies name their readers.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::config::EMPTY_VALUE;

/// Reads a network, or one address as a network of one, for clap's `value_parser`.
///
/// # Errors
/// Fails if the text is neither.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(EMPTY_VALUE.to_owned());
    }
    // A listener on [::] sees IPv4 peers as IPv6 addresses, and people copy those.
    let one = || text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    let wrong = |_| {
        format!(
            "{text:?} is not an address; give one such as 172.18.0.5, or a network such as 172.18.0.0/16, and commas between several"
        )
    };
    text.parse().ok().and_then(unmapped).map_or_else(one, Ok).map_err(wrong)
}

/// Reads the name of a header, for clap's `value_parser`.
///
/// # Errors
/// Fails if the text is no name.
pub(crate) fn header_name(text: &str) -> Result<HeaderName, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is not the name of a header; give one, such as X-Real-IP"))
}

/// An IPv4 network that is written as one of IPv6, such as `::ffff:172.18.0.0/112`, as an IPv4 network. `None` if it is wider than all
/// of IPv4.
fn unmapped(network: IpNet) -> Option<IpNet> {
    const MAPPED_BITS: u8 = 96;
    let address = network.addr().to_canonical();
    if address == network.addr() {
        return Some(network);
    }
    IpNet::new(address, network.prefix_len().checked_sub(MAPPED_BITS)?).ok()
}

/// One entry of a forwarding header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    Address(IpAddr),
    /// A word such as `unknown`.
    NoAddress,
}

/// The entries of a header, the nearest one first.
///
/// Proxies add the reader's address to the line that the reader has sent. So a line is read from its end, and even if a part of it
/// is no text.
pub(crate) fn hops(headers: &HeaderMap, name: &HeaderName) -> Vec<Hop> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    let lines = lines.iter().rev();
    if *name == http::header::FORWARDED {
        let elements = lines.flat_map(|line| outside_quotes(line, b','));
        elements.filter_map(|element| forwarded_for(element).map(hop)).collect()
    } else {
        let entries = lines.flat_map(|line| line.rsplit(',')).map(str::trim);
        entries.filter(|entry| !entry.is_empty()).map(hop).collect()
    }
}

/// The value of `for` in an element of `Forwarded`. If there are several, a reader may have made up the others.
fn forwarded_for(element: &str) -> Option<&str> {
    let pairs = outside_quotes(element, b';').into_iter().filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    named.next().map(|(_, value)| value.trim())
}

/// The parts of a text between separators that are not in quotes, the last one first. It is read from its end, because a reader may
/// send an open quote to hide what a proxy adds. Where quotes do not fit, they have no meaning.
fn outside_quotes(text: &str, separator: u8) -> Vec<&str> {
    let bytes = text.as_bytes();
    let (mut parts, mut end, mut is_quoted) = (Vec::new(), bytes.len(), false);
    for (at, byte) in bytes.iter().enumerate().rev() {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        match byte {
            b'"' if !is_quoted => is_quoted = true,
            b'"' if before == Some(&b'\\') => {}
            b'"' if before == Some(&b'=') => is_quoted = false,
            b'"' => break,
            _ if *byte == separator && !is_quoted => {
                parts.extend(text.get(at + 1..end));
                end = at;
            }
            _ => {}
        }
    }
    let rest = text.get(..end).unwrap_or_default();
    match is_quoted {
        true => parts.extend(rest.rsplit(char::from(separator))),
        false => parts.push(rest),
    }
    parts
}

/// Reads an address in the forms that proxies write: alone, with a port, in brackets, in quotes, or with a zone.
fn hop(text: &str) -> Hop {
    let text = without_zone(text.trim_matches('"'));
    let text = text.as_ref();
    // A port may follow, also after an IPv4 address in brackets.
    let in_brackets = || {
        let (address, port) = text.strip_prefix('[')?.split_once(']')?;
        let is_port = |port: &str| port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok());
        address.parse().ok().filter(|_| port.is_empty() || is_port(port))
    };
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(in_brackets).or_else(with_port).map_or(Hop::NoAddress, Hop::Address)
}

/// An IPv6 address without its zone, such as `fe80::1` for `fe80::1%eth0`.
fn without_zone(text: &str) -> Cow<'_, str> {
    match text.split_once('%') {
        Some((address, zone)) => {
            Cow::from(format!("{address}{}", zone.find(']').and_then(|end| zone.get(end..)).unwrap_or_default()))
        }
        None => Cow::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, lines: &[&'static str]) -> Vec<Hop> {
        let name = HeaderName::from_static(name);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&name, line.parse().unwrap());
        }
        hops(&headers, &name)
    }

    fn address(text: &str) -> Hop {
        Hop::Address(text.parse().unwrap())
    }

    #[test]
    fn ports_brackets_and_zones_are_removed_from_addresses() {
        for written in ["203.0.113.7", "203.0.113.7:50811", " 203.0.113.7 ", "[203.0.113.7]:80"] {
            assert_eq!(read("x-forwarded-for", &[written]), [address("203.0.113.7")], "{written:?}");
        }
        for written in ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443"] {
            assert_eq!(read("x-forwarded-for", &[written]), [address("2001:db8::1")], "{written:?}");
        }
        for written in ["fe80::1%eth0", "[fe80::1%25eth0]", "[fe80::1%eth0]:443"] {
            assert_eq!(read("x-forwarded-for", &[written]), [address("fe80::1")], "{written:?}");
        }
        for written in
            ["unknown", "_hidden", "203.0.113.7:", "[2001:db8::1", "[2001:db8::1]:", "[2001:db8::1]80", "203.0.113"]
        {
            assert_eq!(read("x-forwarded-for", &[written]), [Hop::NoAddress], "{written:?}");
        }
    }

    #[test]
    fn the_nearest_hop_comes_first() {
        let lines = ["192.0.2.1, unknown", "192.0.2.3"];
        assert_eq!(read("x-real-ip", &lines), [address("192.0.2.3"), Hop::NoAddress, address("192.0.2.1")]);
        assert_eq!(read("x-real-ip", &[]), []);
        let elements = ["for=192.0.2.1;proto=https, proto=http;For=\"[2001:db8::1]:4711\"", "by=203.0.113.1"];
        assert_eq!(read("forwarded", &elements), [address("2001:db8::1"), address("192.0.2.1")]);
    }

    #[test]
    fn separators_in_quotes_do_not_end_an_entry() {
        let quoted = ["for=192.0.2.1;host=\"a, for=203.0.113.9\", host=\"b;for=203.0.113.9\";for=\"[2001:db8::1]:80\""];
        assert_eq!(read("forwarded", &quoted), [address("2001:db8::1"), address("192.0.2.1")]);
    }

    #[test]
    fn quotes_of_a_reader_do_not_hide_the_address_that_a_proxy_adds() {
        for line in [
            // The reader has sent what comes before the proxy's element, or the host in it.
            "for=\"192.0.2.1, for=203.0.113.7",
            "for=192.0.2.1;x=\", for=203.0.113.7;host=\"a:\"\";proto=https",
            "host=\"a:\";for=192.0.2.1\";for=203.0.113.7",
            "for=192.0.2.1;x=\", for=203.0.113.7;host=\"a\\\"b\"",
            "for=192.0.2.1, host=\"a\\\";for=192.0.2.2\";for=203.0.113.7",
            "\\\", for=\"203.0.113.7\"",
        ] {
            assert_eq!(read("forwarded", &[line]).first(), Some(&address("203.0.113.7")), "{line}");
        }
        let open = ["for=\"192.0.2.1, for=\"[2001:db8::1]:4711\""];
        assert_eq!(read("forwarded", &open), [address("2001:db8::1"), address("192.0.2.1")]);
    }

    #[test]
    fn a_line_with_bytes_that_are_not_utf_8_is_read() {
        let mut headers = HeaderMap::new();
        for line in [&b"\xff, 192.0.2.1"[..], b"\xc3, 192.0.2.2"] {
            headers.append("x-forwarded-for", http::HeaderValue::from_bytes(line).unwrap());
        }
        let expected = [address("192.0.2.2"), Hop::NoAddress, address("192.0.2.1"), Hop::NoAddress];
        assert_eq!(hops(&headers, &HeaderName::from_static("x-forwarded-for")), expected);
    }

    #[test]
    fn a_single_address_is_read_as_a_network() {
        assert_eq!(network("172.18.0.5").unwrap().to_string(), "172.18.0.5/32");
        assert_eq!(network(" 172.18.0.5 ").unwrap().to_string(), "172.18.0.5/32");
        assert_eq!(network("2001:db8::1").unwrap().to_string(), "2001:db8::1/128");
        assert_eq!(network("::ffff:172.18.0.5").unwrap().to_string(), "172.18.0.5/32");
        assert_eq!(network("172.18.0.0/16").unwrap().to_string(), "172.18.0.0/16");
        assert_eq!(network("::ffff:172.18.0.0/112").unwrap().to_string(), "172.18.0.0/16");
        assert_eq!(network("2001:db8::/112").unwrap().to_string(), "2001:db8::/112");
        assert!(network("::ffff:172.18.0.0/16").is_err(), "the length counts all 128 bits");
        assert!(network("proxy").unwrap_err().contains("172.18.0.0/16"));
    }
}
