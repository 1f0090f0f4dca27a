//! How far a client reaches: whom it will not connect to, and which further authorities it trusts for TLS.
//!
//! A service that asks whom its callers name must not be led into the network it stands in: to the metadata service of a
//! cloud, a router, a database. So addresses are looked at after names were resolved, in the moment of connecting.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    collections::HashSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use url::{Host, Url};

/// What a client may do beside asking public services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reach {
    /// Only addresses that the whole internet reaches.
    pub public_only: bool,
    /// Certificates (PEM) that are trusted for TLS beside those of this machine.
    pub authorities: String,
}

/// A name that leads inside.
#[derive(Debug)]
struct Inside {
    name: String,
    found: IpAddr,
}

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is at {}, an address of a private network", self.name, self.found)
    }
}

impl std::error::Error for Inside {}

/// Whether a URL names an inner address without a name to resolve.
pub(super) fn is_inside(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => !is_public(address.into()),
        Some(Host::Ipv6(address)) => !is_public(address.into()),
        Some(Host::Domain(_)) | None => super::is_loopback(url),
    }
}

/// Resolves names as the system does, and keeps public addresses alone.
pub(super) struct PublicOnly {
    /// Proxies that the environment names are the operator's own, wherever they are.
    proxies: HashSet<String>,
}

impl PublicOnly {
    pub(super) fn new() -> Self {
        let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
        let set = names.into_iter().filter_map(|name| std::env::var(name).ok());
        let hosts = set.filter_map(|text| {
            let url = Url::parse(&text).ok().filter(Url::has_host);
            url.or_else(|| Url::parse(&format!("http://{text}")).ok())?.host_str().map(str::to_owned)
        });
        Self { proxies: hosts.collect() }
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let trusted = self.proxies.contains(&name);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let (public, inside): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|address| trusted || is_public(address.ip()));
            if let (true, Some(first)) = (public.is_empty(), inside.first()) {
                return Err(Box::new(Inside { name, found: first.ip() }).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether the whole internet reaches an address (IANA's registries of special-purpose addresses).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => is_public_v4(four),
        IpAddr::V6(six) => match carried(six) {
            // Whoever connects to such an address ends at the one it carries.
            Some(four) => is_public_v4(four),
            None => is_public_v6(six),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let shared = first == 100 && (64..128).contains(&second);
    let protocol = (first, second, third) == (192, 0, 0);
    let benchmarks = first == 198 && (second == 18 || second == 19);
    !(first == 0
        || first >= 240
        || shared
        || protocol
        || benchmarks
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Of all the space only this eighth is in use on the internet.
    let global = first & 0xe000 == 0x2000;
    let documentation = (first == 0x2001 && second == 0x0db8) || first & 0xfff0 == 0x3ff0;
    // Protocol assignments: Teredo, benchmarks, ORCHID.
    let protocol = first == 0x2001 && second < 0x0200;
    global && !documentation && !protocol
}

/// The IPv4 address within an IPv6 one: mapped, compatible, NAT64 (RFC 6052), 6to4 (RFC 3056).
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [first, second, third, ..] = address.segments();
    let octets = address.octets();
    let [.., a, b, c, d] = octets;
    let last = Ipv4Addr::new(a, b, c, d);
    let nat64 = address.segments().starts_with(&[0x64, 0xff9b, 0, 0, 0, 0]);
    let mapped = address.segments().starts_with(&[0, 0, 0, 0, 0, 0xffff]);
    let compatible = address.segments().starts_with(&[0; 6]);
    if nat64 || mapped || compatible {
        return Some(last);
    }
    let ([a, b], [c, d]) = (second.to_be_bytes(), third.to_be_bytes());
    (first == 0x2002).then(|| Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_addresses_are_known_in_every_spelling() {
        for inner in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.168.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.1.2.3",
            "::10.1.2.3",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "64:ff9b:1::1",
            "100::1",
            "3fff::1",
            "5f00::1",
        ] {
            assert!(!is_public(inner.parse().unwrap()), "{inner}");
        }
        for public in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::",
            "2606:4700::1111",
            "2a00::1",
            "2001:4860::8888",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_url_may_name_an_inner_address_itself() {
        for inner in [
            "https://10.0.0.1/x",
            "https://[::1]/",
            "https://localhost/",
            "https://a.localhost/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::ffff:169.254.169.254]/",
        ] {
            assert!(is_inside(&Url::parse(inner).unwrap()), "{inner}");
        }
        for outer in ["https://example.com", "https://1.1.1.1", "https://10.0.0.1.example.com"] {
            assert!(!is_inside(&Url::parse(outer).unwrap()), "{outer}");
        }
    }

    #[tokio::test]
    async fn names_of_inner_addresses_are_not_resolved() {
        let resolver = PublicOnly { proxies: HashSet::new() };
        let error = resolver.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(error.to_string().contains("an address of a private network"), "{error}");
        let proxied = PublicOnly { proxies: HashSet::from(["localhost".to_owned()]) };
        assert!(proxied.resolve("localhost".parse().unwrap()).await.unwrap().count() > 0);
    }
}
