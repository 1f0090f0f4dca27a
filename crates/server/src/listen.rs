//! Sockets that are bound before they serve: a port is chosen and kept in one step.
//!
//! `localhost` is both loopback addresses on one port, since clients try either first.

use crate::config::Listen;
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tokio::net::{TcpListener, TcpSocket};

/// Connections the kernel holds for us until they are accepted.
const BACKLOG: u32 = 4096;

/// A service's sockets, bound but not yet accepting.
#[derive(Debug)]
pub struct Bound {
    pub(crate) listeners: Vec<TcpListener>,
    port: u16,
}

/// A port that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}")]
pub struct BindError {
    /// What was asked for.
    pub listen: Listen,
    /// What the system said.
    pub source: io::Error,
}

impl Bound {
    /// Binds; port 0 takes a free one, the same for both loopback addresses.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(listen: Listen) -> Result<Self, BindError> {
        /// Free on IPv4 may be taken on IPv6: then another is tried.
        const ATTEMPTS: usize = 16;
        let fail = |source| BindError { listen, source };
        let Listen::Localhost(port) = listen else {
            let Listen::Address(address) = listen else {
                return Err(fail(io::ErrorKind::InvalidInput.into()));
            };
            let listener = listen_on(address).map_err(fail)?;
            let port = listener.local_addr().map_err(fail)?.port();
            return Ok(Self { listeners: vec![listener], port });
        };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let v4 = listen_on((Ipv4Addr::LOCALHOST, port).into()).map_err(fail)?;
            let chosen = v4.local_addr().map_err(fail)?.port();
            match listen_on((Ipv6Addr::LOCALHOST, chosen).into()) {
                Ok(v6) => return Ok(Self { listeners: vec![v4, v6], port: chosen }),
                Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                    if port != 0 || attempt == ATTEMPTS {
                        return Err(fail(e));
                    }
                }
                // No IPv6 on this machine.
                Err(_) => return Ok(Self { listeners: vec![v4], port: chosen }),
            }
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart must not wait for the last connection's TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
