//! What `sealog verify` takes, and `sealog inspect`: files, directories, lists, several bundles. The bundles are
//! made by the program itself, against services that are gone again when they are verified.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "inputs/odd.rs"]
mod odd;

use sealog_crypto::HashAlgorithm;
use sealog_server::{
    clock::Clock,
    dev,
    oidc::{DevToken, dev_token},
    run::Running,
};
use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};
use tempfile::TempDir;

const SIGNER: &str = "ann@example.org";
/// The files that are signed, each with its own name and an end of line in it.
const FILES: [&str; 3] = ["a.txt", "b.txt", "c.txt"];

/// Signed files and what they are verified with.
struct Signed {
    home: TempDir,
    issuer: String,
}

/// Signed once for all tests.
fn signed() -> &'static Signed {
    static SIGNED: OnceLock<Signed> = OnceLock::new();
    SIGNED.get_or_init(|| {
        let home = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let issuer = runtime.block_on(async {
            let dir = home.path().join("dev");
            let (config, sockets) = dev::prepare(&dir, 0, Clock::system()).unwrap();
            let running = Running::start(&config, Clock::system(), sockets).await.unwrap();
            let asked = DevToken::Email(SIGNER.to_owned());
            let token = dev_token(&config, &Clock::system(), &asked, "sigstore").unwrap();
            for name in FILES {
                fs::write(home.path().join(name), format!("{name}\n")).unwrap();
            }
            fs::write(home.path().join("predicate"), "{\"a\":1}").unwrap();
            let client = config.client_dir();
            let sign = |args: &[&str]| {
                let mut command = Command::new(env!("CARGO_BIN_EXE_sealog"));
                command.args(args).arg("--trust").arg(&client).arg("--identity-token").arg(&token);
                let output = command.current_dir(home.path()).env_clear().output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            };
            sign(&["sign", "a.txt", "b.txt", "c.txt"]);
            sign(&[
                "attest",
                "a.txt",
                "--predicate",
                "predicate",
                "--type",
                "custom",
                "--bundle",
                "statement.json",
            ]);
            fs::copy(client.join("trusted_root.json"), home.path().join("root.json")).unwrap();
            running.stop().await;
            let bundle = fs::read_to_string(client.join("services.json")).unwrap();
            let ready: serde_json::Value = serde_json::from_str(&bundle).unwrap();
            ready["services"]["oidc"].as_str().unwrap().to_owned()
        });
        Signed { home, issuer }
    })
}

/// An empty directory for one test.
struct Home(TempDir);

/// Standard output, standard error and exit status.
#[derive(Debug, PartialEq, Eq)]
struct Screen(String, String, i32);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A signed file, and its bundle beside it.
    fn put(&self, name: &str, as_name: &str) {
        self.put_file(name, as_name);
        self.write(&format!("{as_name}.sigstore.json"), bundle(name));
    }

    fn put_file(&self, name: &str, as_name: &str) {
        self.write(as_name, format!("{name}\n"));
    }

    fn command(&self, args: &[&OsStr]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealog"));
        command.args(args).current_dir(self.0.path()).env_clear().stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&OsStr]) -> Screen {
        let output = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Screen(text(output.stdout), text(output.stderr), output.status.code().unwrap())
    }

    /// `sealog verify`, by ann.
    fn verify(&self, line: &str) -> Screen {
        self.run(&policy(line.split(' ').map(OsStr::new)))
    }

    /// The lines of JSON, as file, verdict and the error's class.
    fn json(&self, line: &str) -> (Vec<(String, String, String)>, i32) {
        let screen = self.verify(&format!("{line} --json"));
        let read = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            (text(&line["file"]), text(&line["verdict"]), text(&line["error"]["class"]))
        };
        (screen.0.lines().map(read).collect(), screen.2)
    }
}

fn policy<'a>(words: impl Iterator<Item = &'a OsStr>) -> Vec<&'a OsStr> {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    let root = ROOT.get_or_init(|| signed().home.path().join("root.json"));
    let before = ["verify", "--identity", SIGNER, "--issuer", &signed().issuer, "--trusted-root"];
    before.into_iter().map(OsStr::new).chain([root.as_os_str()]).chain(words).collect()
}

fn bundle(name: &str) -> Vec<u8> {
    fs::read(signed().home.path().join(format!("{name}.sigstore.json"))).unwrap()
}

fn statement() -> Vec<u8> {
    fs::read(signed().home.path().join("statement.json")).unwrap()
}

fn hex(name: &str, algorithm: HashAlgorithm) -> String {
    algorithm.digest(format!("{name}\n").as_bytes()).to_string().split(':').next_back().unwrap().to_owned()
}

fn sha256(name: &str) -> String {
    hex(name, HashAlgorithm::Sha256)
}

/// What varies from run to run, and what says who and when.
fn heads(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with("  ") && !line.starts_with("hint")).collect()
}

fn row(file: &str, verdict: &str, class: &str) -> (String, String, String) {
    (file.to_owned(), verdict.to_owned(), class.to_owned())
}

#[test]
fn many_files_are_told_one_by_one_and_counted() {
    let home = Home::new();
    home.put("a.txt", "a.txt");
    home.put("b.txt", "b.txt");
    home.put_file("c.txt", "c.txt");
    home.write("b.txt", "changed\n");
    let screen = home.verify("a.txt b.txt c.txt none.txt");
    assert_eq!(heads(&screen.0), ["`a.txt` is verified"]);
    assert_eq!(
        heads(&screen.1),
        [
            "error: `b.txt` is not the file this bundle was made for",
            "error: there is no bundle for `c.txt`",
            "error: `none.txt` does not exist",
            "1 verified, 1 refused, 2 not checked",
        ]
    );
    assert_eq!(screen.2, 1);
    let rows = [
        row("a.txt", "verified", ""),
        row("b.txt", "not-verified", "digest"),
        row("c.txt", "not-checked", "no-bundle"),
        row("none.txt", "not-checked", "input"),
    ];
    assert_eq!(home.json("a.txt b.txt c.txt none.txt"), (rows.to_vec(), 1));
    // Programs count for themselves; one file is not counted.
    assert!(!home.verify("a.txt b.txt --json").1.contains("1 verified"));
    assert_eq!(home.verify("a.txt").1, "");
    assert_eq!(home.verify("a.txt c.txt").2, 3);
}

#[test]
fn a_verdict_says_which_bundle_it_rests_on() {
    let home = Home::new();
    home.put("a.txt", "a.txt");
    let screen = home.verify("a.txt --json");
    let line: serde_json::Value = serde_json::from_str(&screen.0).unwrap();
    assert_eq!(line["bundle"], "a.txt.sigstore.json");
    assert_eq!(line["bundle_line"], serde_json::Value::Null);
    assert_eq!(line["checked"], "file");
    let keys: Vec<_> =
        ["file", "verdict", "identity", "issuer", "signed_at", "time_source", "log", "log_index", "error"]
            .iter()
            .map(|key| screen.0.find(&format!("\"{key}\":")).unwrap())
            .collect();
    assert!(keys.is_sorted(), "{}", screen.0);
}

#[test]
fn a_directory_is_checked_whole_and_in_order() {
    let home = Home::new();
    home.put("a.txt", "d/a.txt");
    home.put("b.txt", "d/sub/b.txt");
    home.put("c.txt", "d/z.txt");
    let (rows, status) = home.json("d");
    let all =
        [row("d/a.txt", "verified", ""), row("d/sub/b.txt", "verified", ""), row("d/z.txt", "verified", "")];
    assert_eq!((rows, status), (all.to_vec(), 0));
    assert_eq!(home.verify("d").1, "3 verified\n");

    home.put_file("a.txt", "d/sub/unsigned");
    home.write("d/sub/gone.sigstore.json", bundle("a.txt"));
    home.write("d/a.txt.sigstore.json.sigstore.json", bundle("a.txt"));
    home.write("d/z.txt", "changed");
    let (rows, status) = home.json("d");
    let all = [
        row("d/a.txt", "verified", ""),
        row("d/a.txt.sigstore.json.sigstore.json", "not-checked", "no-file"),
        row("d/sub/b.txt", "verified", ""),
        row("d/sub/gone.sigstore.json", "not-checked", "no-file"),
        row("d/sub/unsigned", "not-checked", "no-bundle"),
        row("d/z.txt", "not-verified", "digest"),
    ];
    assert_eq!((rows, status), (all.to_vec(), 1));
    let screen = home.verify("d");
    assert_eq!(
        heads(&screen.1),
        [
            "error: `d/a.txt.sigstore.json.sigstore.json` is the bundle of a bundle; bundles are not checked themselves",
            "error: `d/sub/gone.sigstore.json` is the bundle of `d/sub/gone`, and there is no such file",
            "error: there is no bundle for `d/sub/unsigned`",
            "error: `d/z.txt` is not the file this bundle was made for",
            "2 verified, 1 refused, 3 not checked",
        ]
    );
}

#[test]
fn an_empty_directory_is_not_a_good_one() {
    let home = Home::new();
    fs::create_dir_all(home.path("d/e")).unwrap();
    assert_eq!(
        home.verify("d"),
        Screen(String::new(), "error: the directory `d` holds no files\n".to_owned(), 3)
    );
    let screen = home.verify("d --bundle b.json");
    assert_eq!((screen.0.as_str(), screen.2), ("", 3));
}

#[cfg(unix)]
#[test]
fn nothing_in_a_directory_is_passed_over_in_silence() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let home = Home::new();
    home.put("a.txt", "d/a.txt");
    home.put("b.txt", "elsewhere/b.txt");
    symlink("../elsewhere", home.path("d/link")).unwrap();
    symlink(".", home.path("d/loop")).unwrap();
    symlink("nowhere", home.path("d/broken")).unwrap();
    symlink("a.txt", home.path("d/same")).unwrap();
    home.write("d/same.sigstore.json", bundle("a.txt"));
    home.write("d/closed/x", "x");
    let pipe = home.path("d/pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let as_root = fs::read_dir("/root").is_ok();
    fs::set_permissions(home.path("d/closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let (rows, status) = home.json("d");
    fs::set_permissions(home.path("d/closed"), fs::Permissions::from_mode(0o700)).unwrap();
    // The superuser can read every directory.
    let closed = if as_root {
        row("d/closed/x", "not-checked", "no-bundle")
    } else {
        row("d/closed", "not-checked", "input")
    };
    let all = [
        row("d/a.txt", "verified", ""),
        row("d/broken", "not-checked", "input"),
        closed,
        row("d/link", "not-checked", "link"),
        row("d/loop", "not-checked", "link"),
        row("d/pipe", "not-checked", "input"),
        row("d/same", "verified", ""),
    ];
    assert_eq!((rows, status), (all.to_vec(), 3));
    // What is named is followed.
    assert_eq!(home.json("d/link"), (vec![row("d/link/b.txt", "verified", "")], 0));
    let screen = home.verify("d");
    let said = "error: `d/link` is a link to a directory, which is not followed\n\
                hint: name the link itself to check what is behind it\n";
    assert!(screen.1.contains(said), "{}", screen.1);
    assert!(screen.1.contains("error: `d/pipe` is neither a file nor a directory\n"), "{}", screen.1);
}

#[test]
fn a_list_names_what_is_checked() {
    let home = Home::new();
    home.put("a.txt", "dist/a.txt");
    home.write("dist/b.txt.sigstore.json", bundle("b.txt"));
    home.put("c.txt", "dist/c d.txt");
    let list = format!(
        "{} *a.txt\r\nSHA256 (b.txt) = {}\n{}  c d.txt\n",
        sha256("a.txt"),
        sha256("b.txt"),
        sha256("c.txt")
    );
    home.write("dist/SHA256SUMS", list);
    let screen = home.verify("--checksums dist/SHA256SUMS");
    let verified = ["`dist/a.txt` is verified", "`dist/b.txt` is verified", "`dist/c d.txt` is verified"];
    assert_eq!(heads(&screen.0), verified);
    assert!(
        screen.0.contains("checked    the file, which has the digest in dist/SHA256SUMS\n"),
        "{}",
        screen.0
    );
    assert!(
        screen.0.contains("checked    the digest in dist/SHA256SUMS; the file is not there\n"),
        "{}",
        screen.0
    );
    assert_eq!((screen.1.as_str(), screen.2), ("3 verified\n", 0));
    let line = home.verify("--checksums dist/SHA256SUMS --json").0;
    let checked: Vec<_> = line.lines().map(|line| line.contains(r#","checked":"file"}"#)).collect();
    assert_eq!(checked, [true, false, true]);
}

#[test]
fn a_listed_file_must_have_the_listed_digest() {
    let home = Home::new();
    home.put("a.txt", "a.txt");
    home.write("SUMS", format!("{}  a.txt\n", sha256("b.txt")));
    let screen = home.verify("--checksums SUMS");
    assert_eq!(
        screen,
        Screen(
            String::new(),
            format!(
                "error: `a.txt` is not the file that `SUMS` lists\n  expected  sha256:{} (line 1)\n  \
                 found     sha256:{} (computed from the file)\n\
                 hint: the file changed after the list was made, or the list is of another release\n",
                sha256("b.txt"),
                sha256("a.txt")
            ),
            1
        )
    );
    assert_eq!(home.json("--checksums SUMS"), (vec![row("a.txt", "not-verified", "checksum")], 1));
    // A digest that nobody signed, of a file that is not there.
    fs::remove_file(home.path("a.txt")).unwrap();
    assert_eq!(home.json("--checksums SUMS"), (vec![row("a.txt", "not-verified", "digest")], 1));
    // By another algorithm than the bundle's: the file decides, and without it nothing can be said.
    home.write("SUMS", format!("SHA512 (a.txt) = {}\n", hex("a.txt", HashAlgorithm::Sha512)));
    assert_eq!(home.json("--checksums SUMS"), (vec![row("a.txt", "not-verified", "digest")], 1));
    home.put_file("a.txt", "a.txt");
    assert_eq!(home.json("--checksums SUMS"), (vec![row("a.txt", "verified", "")], 0));
    let both = format!(
        "SHA256 (a.txt) = {}\nSHA512 (a.txt) = {}\n",
        sha256("a.txt"),
        hex("b.txt", HashAlgorithm::Sha512)
    );
    home.write("SUMS", both);
    assert_eq!(home.json("--checksums SUMS"), (vec![row("a.txt", "not-verified", "checksum")], 1));
}

#[test]
fn a_list_that_is_none_is_refused_whole() {
    let home = Home::new();
    home.put("a.txt", "a.txt");
    let good = sha256("a.txt");
    let hint = "hint: nothing was checked; is this the list you meant?\n";
    for (list, words) in [
        (format!("{good}  a.txt\n<html>\n"), "line 2 of `SUMS` is not a digest and a name"),
        (
            format!("{good}  ../a.txt\n"),
            "line 1 of `SUMS` names `../a.txt`, which is not below the list's directory",
        ),
        (format!("{good}  a.txt\n{good}  ./a.txt\n"), "line 2 of `SUMS` names `a.txt` again, after line 1"),
        (
            "d41d8cd98f00b204e9800998ecf8427e  a.txt\n".to_owned(),
            "line 1 of `SUMS` has a digest that is not SHA-256, SHA-384 or SHA-512",
        ),
    ] {
        home.write("SUMS", list);
        assert_eq!(
            home.verify("--checksums SUMS"),
            Screen(String::new(), format!("error: {words}\n{hint}"), 3)
        );
    }
    home.write("SUMS", "# nothing\n\n");
    assert_eq!(
        home.verify("--checksums SUMS"),
        Screen(String::new(), "error: `SUMS` lists nothing\n".to_owned(), 3)
    );
    assert_eq!(home.json("--checksums SUMS"), (vec![row("SUMS", "not-checked", "checksums")], 3));
    assert_eq!(home.verify("--checksums none").2, 3);
    let screen = home.verify("--checksums SUMS --bundle b.json");
    assert!(screen.1.starts_with("error: --bundle is for a single artifact"), "{}", screen.1);
    assert_eq!(screen.2, 2);
}

#[test]
fn one_of_several_bundles_is_enough() {
    let home = Home::new();
    home.put_file("a.txt", "a.txt");
    for (name, of) in [("a.json", "a.txt"), ("b.json", "b.txt"), ("c.json", "c.txt")] {
        home.write(name, bundle(of));
    }
    let screen = home.verify("a.txt --bundle b.json --bundle a.json --bundle c.json");
    assert_eq!((heads(&screen.0), screen.2), (vec!["`a.txt` is verified"], 0));
    assert!(screen.0.ends_with("  bundle     a.json\n"), "{}", screen.0);

    let screen = home.verify("a.txt --bundle b.json --bundle c.json");
    assert_eq!((screen.0.as_str(), screen.2), ("", 1));
    assert!(
        screen.1.contains("  bundle    b.json  (the most telling of 2; none of them verifies)\n"),
        "{}",
        screen.1
    );

    // One bundle on each line; what is none there does not take from the others.
    let line = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    let lines =
        [line(bundle("b.txt")), "{}".to_owned(), String::new(), line(statement()), line(bundle("a.txt"))];
    home.write("a.txt.sigstore.jsonl", lines.join("\n"));
    let screen = home.verify("a.txt");
    assert_eq!((heads(&screen.0), screen.2), (vec!["`a.txt` is verified"], 0));
    assert!(screen.0.contains("  bundle     a.txt.sigstore.jsonl, line 4\n"), "{}", screen.0);
    let json = home.verify("a.txt --json").0;
    assert!(json.contains(r#""bundle":"a.txt.sigstore.jsonl","bundle_line":4,"checked":"file"}"#), "{json}");

    home.write("a.txt.sigstore.jsonl", [line(bundle("b.txt")), "{}".to_owned()].join("\r\n"));
    let screen = home.verify("a.txt");
    assert!(screen.1.contains("  bundle    a.txt.sigstore.jsonl, line 1  (the most"), "{}", screen.1);
    // Another signer says more than another file.
    let output = home.command(
        &policy(["a.txt", "--bundle", "b.json", "--bundle", "a.json"].map(OsStr::new).into_iter())
            .into_iter()
            .map(|word| if word == SIGNER { OsStr::new("bob@example.org") } else { word })
            .collect::<Vec<_>>(),
    );
    let mut output = output;
    let output = output.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: `a.txt` is signed, but not by who you named\n"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn too_many_bundles_are_not_judged() {
    let home = Home::new();
    home.put_file("a.txt", "a.txt");
    home.write("a.txt.sigstore.jsonl", "{}\n".repeat(300));
    assert_eq!(home.json("a.txt"), (vec![row("a.txt", "not-checked", "too-many-bundles")], 3));
}

#[cfg(unix)]
#[test]
fn pipes_and_standard_input_are_read_once() {
    let home = Home::new();
    home.put_file("a.txt", "a.txt");
    home.write("a.json", bundle("a.txt"));
    let feed = |args: &[&str], input: &[u8]| {
        let mut command = home.command(&policy(args.iter().map(OsStr::new)));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code().unwrap())
    };
    for name in ["-", "/dev/stdin"] {
        let (out, err, status) = feed(&[name, "--bundle", "a.json"], b"a.txt\n");
        assert_eq!(
            (heads(&out), err.as_str(), status),
            (vec![format!("`{name}` is verified").as_str()], "", 0)
        );
        let (out, err, status) = feed(&[name, "--bundle", "a.json"], b"other\n");
        assert_eq!((out.as_str(), status), ("", 1), "{err}");
    }
    let (_, err, status) = feed(&["-"], b"a.txt\n");
    assert_eq!(err, "error: standard input has no bundle beside it\nhint: give the bundle with --bundle\n");
    assert_eq!(status, 2);
    assert_eq!(feed(&["-", "--bundle", "-"], b"").2, 2);
    let bundle = bundle("a.txt");
    assert_eq!(feed(&["a.txt", "--bundle", "-"], &bundle).2, 0);
    let list = format!("{}  a.txt\n", sha256("a.txt"));
    home.write("a.txt.sigstore.json", &bundle);
    assert_eq!(feed(&["--checksums", "-"], list.as_bytes()).2, 0);

    let made = Command::new("mkfifo").arg(home.path("pipe")).status().unwrap();
    assert!(made.success());
    let pipe = home.path("pipe");
    let writer = std::thread::spawn(move || fs::write(pipe, "a.txt\n").unwrap());
    let screen = home.verify("pipe --bundle a.json");
    writer.join().unwrap();
    assert_eq!((heads(&screen.0), screen.2), (vec!["`pipe` is verified"], 0));
    // Without a bundle nothing is taken out of it, and nobody waits for it.
    assert_eq!(home.json("pipe"), (vec![row("pipe", "not-checked", "no-bundle")], 3));
}

#[test]
fn names_may_begin_with_a_dash() {
    let home = Home::new();
    home.put("a.txt", "--json");
    let screen = home.verify("-- --json");
    assert_eq!((heads(&screen.0), screen.2), (vec!["`--json` is verified"], 0));
    home.put("a.txt", "-");
    assert_eq!(home.verify("./-").2, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn names_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt as _;
    let home = Home::new();
    let name = OsStr::from_bytes(b"d/\xff\x1b[2J");
    home.put("a.txt", "d/x");
    fs::rename(home.path("d/x"), home.0.path().join(name)).unwrap();
    let mut beside = name.to_owned();
    beside.push(".sigstore.json");
    fs::rename(home.path("d/x.sigstore.json"), home.0.path().join(&beside)).unwrap();
    let shown = "`d/\u{fffd}\\u{1b}[2J` is verified";
    let screen = home.run(&policy([name].into_iter()));
    assert_eq!((heads(&screen.0), screen.2), (vec![shown], 0));
    assert_eq!(heads(&home.verify("d").0), [shown]);
    let mut list = format!("{}  ", sha256("a.txt")).into_bytes();
    list.extend_from_slice(b"\xff\x1b[2J\n");
    home.write("d/SUMS", list);
    assert_eq!(heads(&home.verify("--checksums d/SUMS").0), [shown]);
}

#[test]
fn inspect_tells_everything_without_a_verdict() {
    let home = Home::new();
    home.write("a.json", bundle("a.txt"));
    let screen = home.run(&["inspect", "a.json"].map(OsStr::new));
    assert_eq!((screen.1.as_str(), screen.2), ("", 0));
    for told in [
        "media type           application/vnd.dev.sigstore.bundle.v0.3+json\n",
        &format!("  digest               sha256:{}\n", sha256("a.txt")),
        "certificate\n  name                 ann@example.org\n",
        "  extension            key usage (critical): digital signature\n",
        "extended key usage: code signing\n",
        "  SCT 1 of 1\n    time                 20",
        "timestamp 1 of 1\n  time                 20",
        "  imprint              sha256:",
        "log entry 1 of 1\n  kind                 hashedrekord\n  version              0.0.2\n",
        "      key details          PKIX_ECDSA_P256_SHA_256\n".trim_start(),
        "    checkpoint\n      origin               localhost\n",
        "      signature 1 of 1\n        by                   localhost\n        key id               ",
        "\nNothing of this was checked: `sealog verify` does that.\n",
    ] {
        assert!(screen.0.contains(told), "{told:?} is not in\n{}", screen.0);
    }
    let line = home.run(&["inspect", "a.json", "--json"].map(OsStr::new)).0;
    let read: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(read["checked"], false);
    assert_eq!(read["certificate"]["names"][0], SIGNER);
    assert_eq!(read["log_entries"][0]["body"]["signatures"][0]["key"]["key"], read["certificate"]["key"]);

    let line = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    home.write("two.jsonl", format!("{}\n{}\n", line(bundle("a.txt")), line(statement())));
    let screen = home.run(&["inspect", "two.jsonl"].map(OsStr::new));
    assert_eq!(screen.2, 0);
    for told in [
        "bundle 1 of 2\nline                 1\n",
        "bundle 2 of 2\nline                 2\n",
        "    subject 1 of 1\n      name                 a.txt\n",
    ] {
        assert!(screen.0.contains(told), "{told:?} is not in\n{}", screen.0);
    }
    let lines = home.run(&["inspect", "two.jsonl", "--json"].map(OsStr::new)).0;
    assert_eq!(lines.lines().count(), 2);
}

#[test]
fn a_broken_part_takes_nothing_from_the_others() {
    let home = Home::new();
    let whole: serde_json::Value = serde_json::from_slice(&bundle("a.txt")).unwrap();
    let hostile = "x\nlog entry 9 of 9\u{1b}[2J\u{202e}";
    for (pointer, told) in [
        ("/verificationMaterial/certificate/rawBytes", "certificate          cannot be read: "),
        ("/verificationMaterial/tlogEntries/0/logIndex", "log index            cannot be read: "),
        ("/verificationMaterial/tlogEntries/0/canonicalizedBody", "body                 cannot be read: "),
        ("/verificationMaterial/tlogEntries/0/inclusionProof", "inclusion proof      cannot be read: "),
        (
            "/verificationMaterial/tlogEntries/0/inclusionProof/rootHash",
            "root hash            cannot be read: ",
        ),
        ("/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope", "cannot be read       "),
        (
            "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp",
            "timestamp            cannot be read: ",
        ),
        ("/messageSignature/signature", "signature            cannot be read: "),
        ("/messageSignature/messageDigest/digest", "digest               cannot be read: "),
    ] {
        let mut broken = whole.clone();
        *broken.pointer_mut(pointer).unwrap() = hostile.into();
        home.write("b.json", broken.to_string());
        let screen = home.run(&["inspect", "b.json"].map(OsStr::new));
        assert_eq!(screen.2, 1, "{pointer}");
        assert_eq!(screen.1, "error: one part of `b.json` cannot be read\n", "{pointer}\n{}", screen.0);
        assert!(screen.0.contains(told), "{pointer}: {told:?} is not in\n{}", screen.0);
        // All the others are there.
        for other in ["certificate", "timestamp", "log entry 1 of 1", "body", "content"] {
            assert!(screen.0.contains(other), "{pointer}: {other}");
        }
        assert!(
            !screen.0.contains("\nlog entry 9") && !screen.0.contains(['\u{1b}', '\u{202e}']),
            "{}",
            screen.0
        );
        let json = home.run(&["inspect", "b.json", "--json"].map(OsStr::new));
        let read: serde_json::Value = serde_json::from_str(&json.0).unwrap();
        assert!(json.0.contains("\"unreadable\":") && json.0.is_ascii(), "{}", json.0);
        assert_eq!((read["checked"].as_bool(), json.2), (Some(false), 1));
    }
    let mut odd = whole;
    odd["mediaType"] = "application/vnd.dev.sigstore.bundle.v9+json".into();
    odd[hostile] = 1.into();
    home.write("b.json", odd.to_string());
    let screen = home.run(&["inspect", "b.json"].map(OsStr::new));
    for told in [
        "note                 a version this program does not know\n",
        "unknown field        x\\u{a}log entry 9",
        "refused for          ",
    ] {
        assert!(screen.0.contains(told), "{told:?} is not in\n{}", screen.0);
    }
    assert_eq!(screen.2, 0);
}

/// The words that would read as a verdict.
const VERDICTS: [&str; 4] = ["verified", "valid", "good", "ok"];

fn has_verdict(text: &str) -> bool {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).any(|word| VERDICTS.contains(&word))
}

#[test]
fn inspect_never_says_that_a_bundle_is_good() {
    assert!(has_verdict("it is OK.") && !has_verdict("`sealog verify` invalidates okra"));
    let home = Home::new();
    home.write("a.json", bundle("a.txt"));
    home.write("s.json", statement());
    let mut bundles: Vec<PathBuf> = ["a.json", "s.json"].map(|name| home.path(name)).into();
    if let Some(data) = std::env::var_os("SEALOG_CONFORMANCE_DIR") {
        let cases = fs::read_dir(Path::new(&data).join("bundle-verify")).unwrap();
        let of_case = cases.map(|case| case.unwrap().path().join("bundle.sigstore.json"));
        bundles.extend(of_case.filter(|bundle| bundle.is_file()));
        assert!(bundles.len() > 50, "only {} bundles", bundles.len());
    }
    for bundle in bundles {
        for more in [&[][..], &["--json"]] {
            let mut args = vec![OsStr::new("inspect"), bundle.as_os_str()];
            args.extend(more.iter().map(OsStr::new));
            let output = home.command(&args).output().unwrap();
            let name = bundle.display();
            assert!(matches!(output.status.code(), Some(0 | 1)), "{name}");
            for stream in [output.stdout, output.stderr] {
                let text = String::from_utf8(stream).unwrap();
                assert!(!has_verdict(&text), "{name}: {text}");
            }
        }
    }
}
