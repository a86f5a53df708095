//! To which addresses nothing is sent: those of this machine and of the network around it, those
//! that stand for other addresses, and those that nobody owns. What the operator allows comes
//! first.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use jobwright_core::webhook::UrlRefused;
use reqwest::Url;
use thiserror::Error;

/// Something that the operator allows although it would be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// A host by its name: it may resolve to any address.
    Host(String),
    /// The addresses of a network.
    Net {
        /// An address of it.
        address: IpAddr,
        /// How many of its first bits all have.
        bits: u8,
    },
}

/// A text that allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is neither a host's name nor an address or network such as `10.1.0.0/16`")]
pub struct AllowedError(String);

impl FromStr for Allowed {
    type Err = AllowedError;

    fn from_str(text: &str) -> Result<Self, AllowedError> {
        let wrong = || AllowedError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        if let Ok(address) = address.parse::<IpAddr>() {
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.unwrap_or(most);
            return if bits <= most { Ok(Self::Net { address, bits }) } else { Err(wrong()) };
        }
        let is_name = |it: u8| it.is_ascii_alphanumeric() || b"-._".contains(&it);
        if bits.is_some() || text.is_empty() || !text.bytes().all(is_name) {
            return Err(wrong());
        }
        Ok(Self::Host(text.to_ascii_lowercase()))
    }
}

impl Allowed {
    fn holds(&self, found: IpAddr) -> bool {
        match (self, found) {
            (Self::Net { address: IpAddr::V4(net), bits }, IpAddr::V4(found)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*bits)).unwrap_or(0);
                net.to_bits() & mask == found.to_bits() & mask
            }
            (Self::Net { address: IpAddr::V6(net), bits }, IpAddr::V6(found)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*bits)).unwrap_or(0);
                net.to_bits() & mask == found.to_bits() & mask
            }
            (Self::Net { .. } | Self::Host(_), IpAddr::V4(_) | IpAddr::V6(_)) => false,
        }
    }
}

/// What may be sent to where.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard {
    pub(crate) allowed: Vec<Allowed>,
    /// Nothing else than what is allowed.
    pub(crate) closed: bool,
}

impl Guard {
    /// Checks an address as far as it can be checked without resolving it.
    pub(crate) fn url(&self, text: &str) -> Result<Url, UrlRefused> {
        let refuse = |reason: &str| UrlRefused { reason: reason.to_owned() };
        let url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("its scheme is neither `http` nor `https`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it holds a user name or password"));
        }
        if url.port() == Some(0) {
            return Err(refuse("its port is 0"));
        }
        let host = url.host_str().ok_or_else(|| refuse("it has no host"))?;
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal {
            Ok(address) => self.address(address).map_err(|reason| refuse(&reason))?,
            Err(_) if self.closed && self.allowed_nets().next().is_none() && !self.trusts(host) => {
                return Err(refuse("its host is not allowed"));
            }
            Err(_) => {}
        }
        Ok(url)
    }

    /// Checks the addresses that a host resolves to: all must do.
    pub(crate) fn resolved(&self, host: &str, found: &[IpAddr]) -> Result<(), String> {
        if found.is_empty() {
            return Err("the host has no address".to_owned());
        }
        if self.trusts(host) {
            return Ok(());
        }
        found.iter().try_for_each(|address| self.address(*address))
    }

    fn trusts(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.allowed.iter().any(|it| matches!(it, Allowed::Host(name) if *name == host))
    }

    fn allowed_nets(&self) -> impl Iterator<Item = &Allowed> {
        self.allowed.iter().filter(|it| matches!(it, Allowed::Net { .. }))
    }

    fn address(&self, address: IpAddr) -> Result<(), String> {
        if self.allowed_nets().any(|net| net.holds(address)) {
            return Ok(());
        }
        let kind = match address {
            _ if self.closed => Some("an address that is not allowed"),
            IpAddr::V4(address) => forbidden_v4(address),
            IpAddr::V6(address) => forbidden_v6(address),
        };
        match kind {
            Some(kind) => Err(format!("the host is at {kind}")),
            None => Ok(()),
        }
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, d] = address.octets();
    match (a, b, c, d) {
        (0, ..) => Some("an unspecified address"),
        (127, ..) => Some("a loopback address"),
        (10, ..) | (172, 16..=31, ..) | (192, 168, ..) => Some("a private address"),
        (100, 64..=127, ..) => Some("an address shared by a carrier"),
        (169, 254, ..) => Some("a link-local address"),
        // The metadata service of a cloud, which is nowhere near a private range.
        (168, 63, 129, 16) => Some("a metadata address"),
        (192, 0, 0 | 2, _) | (192, 88, 99, _) | (198, 18 | 19, ..) => Some("a reserved address"),
        (198, 51, 100, _) | (203, 0, 113, _) => Some("a reserved address"),
        (224..=239, ..) => Some("a multicast address"),
        (240.., ..) => Some("a reserved address"),
        _ => None,
    }
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    let parts = address.segments();
    match parts {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        [0, 0, 0, 0, 0, 0xffff | 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => {
            Some("an address that stands for another one")
        }
        [0x64, 0xff9b, ..] | [0x2002, ..] | [0x2001, 0, ..] => {
            Some("an address that stands for another one")
        }
        [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        [0x2001, 0x0001..=0x01ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => {
            Some("a reserved address")
        }
        // Only this eighth of all addresses is given to anybody.
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether something is sent to a URL, or to a host that resolves to these addresses.
    fn check(allowed: &[&str], url: &str, resolved: &[&str], expect: Result<(), &str>) {
        let guard = Guard {
            allowed: allowed
                .iter()
                .filter(|it| **it != "!")
                .map(|it| it.parse().unwrap())
                .collect(),
            closed: allowed.contains(&"!"),
        };
        let found: Vec<IpAddr> = resolved.iter().map(|it| it.parse().unwrap()).collect();
        let found = guard.url(url).map_err(|it| it.reason).and_then(|url| {
            let host = url.host_str().unwrap().to_owned();
            if found.is_empty() { Ok(()) } else { guard.resolved(&host, &found) }
        });
        match (&found, expect) {
            (Ok(()), Ok(())) => {}
            (Err(found), Err(expect)) if found.contains(expect) => {}
            _ => panic!("{allowed:?} {url} {resolved:?}: {found:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn where_nothing_is_sent() {
        let public = ["93.184.216.34", "2606:2800:220:1::1"];
        check(&[], "https://example.org/a?b=c", &public, Ok(()));
        check(&[], "http://93.184.216.34:8080/", &[], Ok(()));
        check(&[], "ftp://example.org/", &[], Err("its scheme"));
        check(&[], "file:///etc/passwd", &[], Err("its scheme"));
        check(&[], "https://user@example.org/", &[], Err("user name or password"));
        check(&[], "https://:pass@example.org/", &[], Err("user name or password"));
        check(&[], "https://example.org:0/", &[], Err("its port"));
        check(&[], "https://", &[], Err("empty host"));
        for (address, expect) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("127.0.0.1", "loopback"),
            ("127.255.1.2", "loopback"),
            ("10.0.0.1", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("100.64.0.1", "carrier"),
            ("100.100.100.200", "carrier"),
            ("169.254.169.254", "link-local"),
            ("168.63.129.16", "metadata"),
            ("192.0.0.192", "reserved"),
            ("198.18.0.1", "reserved"),
            ("203.0.113.9", "reserved"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "stands for another"),
            ("::ffff:8.8.8.8", "stands for another"),
            ("::127.0.0.1", "stands for another"),
            ("64:ff9b::7f00:1", "stands for another"),
            ("64:ff9b:1::1", "stands for another"),
            ("2002:7f00:1::", "stands for another"),
            ("2001::1", "stands for another"),
            ("fc00::1", "private"),
            ("fd00:ec2::254", "private"),
            ("fe80::1", "link-local"),
            ("fec0::1", "reserved"),
            ("ff02::1", "multicast"),
            ("2001:db8::1", "reserved"),
            ("100::1", "reserved"),
        ] {
            check(&[], "https://example.org/", &[address], Err(expect));
            // One that is wrong among many is enough.
            check(&[], "https://example.org/", &[public[0], address], Err(expect));
            let literal =
                if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
            check(&[], &format!("http://{literal}/"), &[], Err(expect));
            check(&[address], &format!("http://{literal}/"), &[], Ok(()));
        }
        for spelled in
            ["http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://0177.0.0.1/"]
        {
            check(&[], spelled, &[], Err("loopback"));
        }
        check(&["127.0.0.0/8"], "http://127.9.9.9/", &[], Ok(()));
        check(&["127.0.0.0/8"], "http://10.0.0.1/", &[], Err("private"));
        check(&["10.1.0.0/16"], "https://a.example/", &["10.1.2.3"], Ok(()));
        check(&["10.1.0.0/16"], "https://a.example/", &["10.2.2.3"], Err("private"));
        check(&["fd00::/8"], "https://a.example/", &["fd12::1"], Ok(()));
        check(&["127.0.0.0/8"], "http://[::ffff:127.0.0.1]/", &[], Err("stands for another"));
        check(&["0.0.0.0/0"], "http://127.0.0.1/", &[], Ok(()));
        check(&["hook.internal"], "https://HOOK.internal./", &["10.0.0.1"], Ok(()));
        check(&["hook.internal"], "https://x.hook.internal/", &["10.0.0.1"], Err("private"));
        check(&["!", "hook.internal"], "https://example.org/", &[], Err("not allowed"));
        check(&["!", "hook.internal"], "https://hook.internal/", &["10.0.0.1"], Ok(()));
        check(&["!", "10.0.0.0/8"], "https://example.org/", &[public[0]], Err("not allowed"));
        check(&["!"], "http://93.184.216.34/", &[], Err("not allowed"));
    }

    #[test]
    fn what_is_allowed_is_named_rightly() {
        for wrong in ["", "a b", "10.0.0.0/33", "::/129", "host/8", "10.0.0.0/x", "https://a"] {
            assert!(wrong.parse::<Allowed>().is_err(), "{wrong}");
        }
    }
}
