//! How often something may happen, for an address, a domain, a network.
//!
//! Counted in windows that begin with the first time. A limit that is reached by one is not felt by another, but for those
//! that hold everyone together, which are far above what people do.

use super::store::{Kind, Store, StoreError};
use std::net::IpAddr;

const MINUTE_MS: u64 = 60 * 1000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Codes sent to an address.
    MailsToAddress,
    /// Codes sent to an address since one network asked for them. A stranger leaves its owner some, also one who has two
    /// networks, of IPv4 and of IPv6.
    MailsToAddressFromNetwork,
    /// Codes sent to addresses of a domain.
    MailsToDomain {
        /// In an hour, as configured.
        most: u32,
    },
    /// Codes asked for by a network.
    MailsFromNetwork,
    /// Device codes asked for by a network.
    Devices,
    /// Ways to another provider, and questions to passkeys, begun by a network: something is kept of each.
    Begun,
    /// User codes that nobody shows, typed by a network.
    WrongUserCodes,
}

impl Limit {
    /// Name, how many, and in how long.
    const fn row(self) -> (&'static str, u32, u64) {
        match self {
            Self::MailsToAddress => ("mails-to-address", 10, HOUR_MS),
            Self::MailsToAddressFromNetwork => ("mails-to-address-from-network", 3, HOUR_MS),
            Self::MailsToDomain { most } => ("mails-to-domain", most, HOUR_MS),
            Self::MailsFromNetwork => ("mails-from-network", 20, HOUR_MS),
            Self::Devices => ("devices", 120, HOUR_MS),
            // A company may stand behind one address; the store has room for what thirty such begin.
            Self::Begun => ("begun", 600, 15 * MINUTE_MS),
            // 20⁸ codes are not to be tried out.
            Self::WrongUserCodes => ("wrong-user-codes", 20, MINUTE_MS),
        }
    }
}

/// The counters.
#[derive(Clone, Debug)]
pub(super) struct Limits(Store);

impl Limits {
    pub(super) const fn new(store: Store) -> Self {
        Self(store)
    }

    /// Counts one more, and says whether it may happen.
    pub(super) async fn allows(&self, limit: Limit, of: &str, now_ms: u64) -> Result<bool, StoreError> {
        let (name, most, window_ms) = limit.row();
        let one_more = move |found: Option<(u32, u64)>| {
            let (count, ends) = found.unwrap_or((0, now_ms.saturating_add(window_ms)));
            let count = count.saturating_add(1);
            (Some((count, ends)), count <= most)
        };
        self.0.update(Kind::Limit, &format!("{name} {of}"), now_ms, one_more).await
    }

    /// Whether no more may happen; counts nothing.
    pub(super) async fn is_used_up(&self, limit: Limit, of: &str, now_ms: u64) -> Result<bool, StoreError> {
        let (name, most, _) = limit.row();
        let count: Option<u32> = self.0.get(Kind::Limit, &format!("{name} {of}"), now_ms).await?;
        Ok(count.is_some_and(|count| count >= most))
    }
}

/// What one household or company has of the internet: its IPv4 address, or the IPv6 network that a provider gives out.
pub(super) fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(four) => four.to_string(),
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            // A /56: the last eight bits of the fourth group are a customer's own.
            format!("{a:x}:{b:x}:{c:x}:{:x}::/56", d & 0xff00)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_more_than_may_be() {
        const NOW: u64 = 1_700_000_000_000;
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits::new(Store::open(dir.path()).unwrap());
        for _ in 0..10 {
            assert!(limits.allows(Limit::MailsToAddress, "a@b.example", NOW).await.unwrap());
        }
        assert!(limits.is_used_up(Limit::MailsToAddress, "a@b.example", NOW).await.unwrap());
        assert!(!limits.allows(Limit::MailsToAddress, "a@b.example", NOW).await.unwrap());
        assert!(limits.allows(Limit::MailsToAddress, "c@b.example", NOW).await.unwrap(), "another address");
        assert!(
            limits.allows(Limit::MailsToDomain { most: 1 }, "a@b.example", NOW).await.unwrap(),
            "another limit"
        );
        let later = NOW + HOUR_MS;
        assert!(
            limits.allows(Limit::MailsToAddress, "a@b.example", later).await.unwrap(),
            "trying did not lengthen it"
        );
    }

    #[test]
    fn neighbours_are_not_confused_and_customers_not_counted_apart() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_eq!(of("2001:db8:1:ff01::1"), of("2001:db8:1:ff99:ffff::2"));
        assert_ne!(of("2001:db8:1:ff01::1"), of("2001:db8:1:fe01::1"));
    }
}
