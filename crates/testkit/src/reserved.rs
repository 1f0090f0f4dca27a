//! Ports that stay a test's own, for servers that are started later, or stopped and started again.
//!
//! A port that is drawn and let go may be anybody's by the time its server comes to it. Linux gives no port away, neither
//! to who asks for any nor to who connects, while a socket is bound to it; and one that is bound and does not listen lets
//! others listen there by name, one after the other, if they and it have `SO_REUSEADDR`, as servers do.
//! Other systems refuse the server instead: there the port is drawn and let go.

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt::set_socket_reuseaddr};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
};

/// Draws until this many were refused: ports next to a free one may be somebody's.
const ATTEMPTS: usize = 1000;

/// A port on both loopback addresses that nobody else is given.
#[derive(Debug)]
pub struct Reserved {
    port: u16,
    _sockets: Vec<OwnedFd>,
}

impl Reserved {
    /// A port that nobody had.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "no two are equal")]
    pub fn new() -> Self {
        let [one] = Self::in_a_row();
        one
    }

    /// Ports one after the other.
    #[must_use]
    pub fn in_a_row<const N: usize>() -> [Self; N] {
        let drawn = (0..ATTEMPTS).find_map(|_| {
            let mut row = vec![Self::bound(0).ok()?];
            while row.len() < N {
                let next = row.last()?.port.checked_add(1)?;
                row.push(Self::bound(next).ok()?);
            }
            row.try_into().ok()
        });
        drawn.unwrap()
    }

    /// Keeps this port, or any if it is 0.
    fn bound(port: u16) -> io::Result<Self> {
        let v4 = own((Ipv4Addr::LOCALHOST, port).into())?;
        let port = SocketAddr::try_from(getsockname(&v4)?)?.port();
        let mut sockets = vec![v4];
        match own((Ipv6Addr::LOCALHOST, port).into()) {
            Ok(v6) => sockets.push(v6),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            // No IPv6 on this machine.
            Err(_) => {}
        }
        for socket in &sockets {
            set_socket_reuseaddr(socket, true)?;
        }
        if !cfg!(target_os = "linux") {
            sockets.clear();
        }
        Ok(Self { port, _sockets: sockets })
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// A socket on an address that no other has. It must not have `SO_REUSEADDR` yet: with it, it would be bound to what
/// somebody else reserved.
fn own(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, None)?;
    // Or it would outlive the test in a program that the test started.
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    bind(&socket, &address)?;
    Ok(socket)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::{
        collections::BTreeSet,
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
    };

    #[test]
    fn nobody_is_given_a_port_that_is_kept() {
        let kept: Vec<_> = (0..50).map(|_| Reserved::new()).collect();
        let ports: BTreeSet<u16> = kept.iter().map(Reserved::port).collect();
        assert_eq!(ports.len(), kept.len());
        // More than there are ports to give, were they given anew each time.
        for _ in 0..20_000 {
            let any = TcpListener::bind("127.0.0.1:0").unwrap();
            assert!(!ports.contains(&any.local_addr().unwrap().port()));
        }
        for _ in 0..2000 {
            let any = TcpListener::bind("[::1]:0").unwrap();
            assert!(!ports.contains(&any.local_addr().unwrap().port()));
            let near = TcpStream::connect(any.local_addr().unwrap()).unwrap();
            assert!(!ports.contains(&near.local_addr().unwrap().port()));
        }
        for port in ports {
            assert!(Reserved::bound(port).is_err(), "reserved twice");
        }
    }

    #[test]
    fn servers_listen_on_it_one_after_the_other_and_not_two_at_once() {
        let kept = Reserved::new();
        for address in
            [SocketAddr::from((Ipv4Addr::LOCALHOST, kept.port())), (Ipv6Addr::LOCALHOST, kept.port()).into()]
        {
            assert!(TcpStream::connect(address).is_err(), "nobody listens");
            for _ in 0..3 {
                let server = TcpListener::bind(address).unwrap();
                assert_eq!(TcpListener::bind(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
                let mut near = TcpStream::connect(address).unwrap();
                let (mut far, _) = server.accept().unwrap();
                // The server hangs up first: its side of the connection stays a while.
                far.write_all(b"done").unwrap();
                drop((far, server));
                let mut text = String::new();
                near.read_to_string(&mut text).unwrap();
                assert_eq!(text, "done");
            }
            assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
        }
    }

    #[test]
    fn a_row_has_no_gaps() {
        let row: [Reserved; 5] = Reserved::in_a_row();
        let ports = row.each_ref().map(|one| one.port());
        assert!(ports.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ports:?}");
    }
}
