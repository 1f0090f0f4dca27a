//! `cargo xtask wasm`: the verifier, with every room under it, builds for `wasm32-unknown-unknown`.
//!
//! The standard library of that target comes from rustup, or, where rustup's server cannot be reached, from
//! Debian's packages of the newest compiler, unpacked under `target/wasm-toolchain` and never installed.
//! Debian's security archive moves their version, so none is pinned; it must only be new enough for us.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::House;
use crate::process;

const TARGET: &str = "wasm32-unknown-unknown";
/// What is built: the verifier, and with it all pure rooms.
const PACKAGE: &str = "sealog-verify";
/// The longest rustup may take to fetch 30 MB.
const RUSTUP_LIMIT: Duration = Duration::from_secs(180);
/// The longest Debian's 140 MB may take, and the longest answer of a program that is only asked.
const FETCH_LIMIT: Duration = Duration::from_secs(600);
const ASK_LIMIT: Duration = Duration::from_secs(60);
/// The packages by name; two more carry a version in theirs and are asked for by dependency.
const PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "libstd-rust-web-dev"];

/// `cargo xtask wasm`: true if it builds.
pub(crate) fn command(house: &House) -> Result<bool> {
    build(house).map(|()| true)
}

/// Builds the verifier for wasm.
pub(crate) fn build(house: &House) -> Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--target", TARGET, "-p", PACKAGE, "--target-dir"]);
    cargo.arg(house.path("target/wasm")).current_dir(&house.root);
    match from_rustup(house) {
        Ok(()) => println!("  standard library: rustup's"),
        Err(no_rustup) => {
            println!("  rustup has no standard library for {TARGET}: {no_rustup:#}");
            let compiler = from_debian(house).with_context(|| {
                format!("no standard library for {TARGET}: `rustup target add {TARGET}` does not work here")
            })?;
            compiler.apply(&mut cargo);
        }
    }
    println!("  cargo build --target {TARGET} -p {PACKAGE}");
    if process::show(&mut cargo)? { Ok(()) } else { bail!("{PACKAGE} does not build for {TARGET}") }
}

/// Has rustup fetch the target for the toolchain of this folder, unless it is there.
fn from_rustup(house: &House) -> Result<()> {
    let mut ask = Command::new("rustc");
    ask.args(["--print", "target-libdir", "--target", TARGET]).current_dir(&house.root);
    let asked = process::run(&mut ask, ASK_LIMIT)?.expect_success("asking rustc for its libraries")?;
    if Path::new(asked.trim()).is_dir() {
        return Ok(());
    }
    println!("  rustup target add {TARGET}");
    let mut add = Command::new("rustup");
    add.args(["target", "add", TARGET]).current_dir(&house.root);
    process::run(&mut add, RUSTUP_LIMIT)?.expect_success("rustup target add").map(drop)
}

/// A compiler with the sources of its standard library, unpacked.
struct Compiler {
    root: PathBuf,
}

impl Compiler {
    fn rustc(&self) -> PathBuf {
        self.root.join("usr/bin/rustc")
    }

    fn libraries(&self) -> PathBuf {
        self.root.join("usr/lib/x86_64-linux-gnu")
    }

    /// Has cargo use it, and build the standard library with it. That needs a switch cargo keeps for
    /// nightly compilers, which this variable opens; the compiler is the stable one all the same.
    fn apply(&self, cargo: &mut Command) {
        cargo.args(["-Z", "build-std=std,panic_abort"]);
        cargo.env("RUSTC", self.rustc()).env("LD_LIBRARY_PATH", self.libraries()).env("RUSTC_BOOTSTRAP", "1");
    }

    /// `1.96` of «rustc 1.96.0 (…)».
    fn version(&self) -> Result<(u32, u32)> {
        let mut ask = Command::new(self.rustc());
        ask.arg("--version").env("LD_LIBRARY_PATH", self.libraries());
        let said = process::run(&mut ask, ASK_LIMIT)?.expect_success("asking Debian's rustc its version")?;
        version_of(&said).with_context(|| format!("«{}» names no version", said.trim()))
    }
}

/// Debian's compiler from `target/wasm-toolchain`, fetched if it is not there.
fn from_debian(house: &House) -> Result<Compiler> {
    let home = house.path("target/wasm-toolchain");
    let compiler = Compiler { root: home.join("root") };
    let wanted = wanted_version(house)?;
    if compiler.version().is_ok_and(|found| found >= wanted) {
        println!("  standard library: Debian's, from {}", home.display());
        return Ok(compiler);
    }
    println!("  fetching Debian's rustc-web and its sources into {} (140 MB, once)", home.display());
    // What a broken run left is in the way.
    std::fs::remove_dir_all(&home).ok();
    let archives = home.join("archives");
    std::fs::create_dir_all(&archives)?;
    let standard_library = depends("libstd-rust-web-dev", "libstd-rust-web-")?;
    let llvm = depends(&standard_library, "libllvm")?;
    let mut fetch = Command::new("apt-get");
    fetch.arg("download").args(PACKAGES).args([&standard_library, &llvm]).current_dir(&archives);
    process::run(&mut fetch, FETCH_LIMIT)?
        .expect_success("apt-get download")
        .context("Debian's rustc-web cannot be fetched either (on Debian, is `apt-get update` due?)")?;
    for archive in std::fs::read_dir(&archives)? {
        let mut unpack = Command::new("dpkg");
        unpack.arg("-x").arg(archive?.path()).arg(&compiler.root);
        process::run(&mut unpack, FETCH_LIMIT)?.expect_success("dpkg -x")?;
    }
    std::fs::remove_dir_all(&archives).ok();
    let found = compiler.version()?;
    if found < wanted {
        bail!("Debian's rustc-web is {}.{}; {}.{} is needed", found.0, found.1, wanted.0, wanted.1);
    }
    Ok(compiler)
}

/// The one package of that beginning on which another depends.
fn depends(package: &str, beginning: &str) -> Result<String> {
    let mut ask = Command::new("apt-cache");
    ask.args(["depends", package]);
    let said = process::run(&mut ask, ASK_LIMIT)
        .and_then(|finished| finished.expect_success("apt-cache depends"))
        .context("nor is this a Debian that offers rustc-web")?;
    dependency(&said, beginning)
        .map(str::to_owned)
        .with_context(|| format!("Debian's {package} names no package {beginning}*"))
}

fn dependency<'a>(said: &'a str, beginning: &str) -> Option<&'a str> {
    said.lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with(beginning))
}

/// The oldest compiler that builds this workspace: `rust-version` of its manifest.
fn wanted_version(house: &House) -> Result<(u32, u32)> {
    let manifest = std::fs::read_to_string(house.path("Cargo.toml"))?;
    let line = manifest.lines().find(|line| line.starts_with("rust-version"));
    line.and_then(version_of).context("no rust-version in Cargo.toml")
}

/// The first `major.minor` of a text.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let start = text.find(|letter: char| letter.is_ascii_digit())?;
    let mut numbers = text.get(start..)?.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version_of("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some((1, 96)));
        assert_eq!(version_of("rust-version = \"1.95\""), Some((1, 95)));
        assert_eq!(version_of("rustc"), None);
        assert!((1, 100) > (1, 95) && (1, 63) < (1, 95));
    }

    #[test]
    fn the_versioned_packages_are_found_by_dependency() {
        let said = "libstd-rust-web-1.96\n  Depends: libc6\n  Depends: libllvm22\n  Conflicts: <rustup>\n";
        assert_eq!(dependency(said, "libllvm"), Some("libllvm22"));
        assert_eq!(dependency(said, "libstd-rust-web-"), None);
    }
}
