//! Random bytes from the operating system's generator, by way of the primitive library.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// The system could not give random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system's random generator failed")]
pub struct RandomError;

/// Fills `room` with random bytes.
///
/// # Errors
/// When the generator fails; the bytes must then not be used.
pub fn fill(room: &mut [u8]) -> Result<(), RandomError> {
    SystemRandom::new().fill(room).map_err(|_| RandomError)
}

/// `N` random bytes.
///
/// # Errors
/// When the generator fails.
pub fn random_array<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut room = [0; N];
    fill(&mut room)?;
    Ok(room)
}
