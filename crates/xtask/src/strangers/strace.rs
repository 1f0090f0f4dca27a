//! strace on a signing process: the only file it writes is the bundle, and the bundle is all it writes there.
//!
//! What a key is worth ends with the process only if the key never lay on a disk. (That it does not stay in
//! memory either is a test of `sealog-crypto`.)

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::clients::Sealog;
use super::report::{Check, Report};
use super::{Kind, Outcome, Stage};
use crate::process;

/// The longest a traced signature may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Calls that open, make, write or name a file.
const CALLS: &str = "trace=openat,open,creat,memfd_create,write,pwrite64,writev,pwritev,pwritev2,\
    sendfile,copy_file_range,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mknod,mknodat";
/// Places that are no files.
const NO_FILES: [&str; 6] = ["/dev/null", "/dev/tty", "socket:", "pipe:", "anon_inode:", "UNIX"];

/// The row of strace.
pub(super) fn run(stage: &Stage<'_>, ours: &Sealog, report: &mut Report) {
    for kind in [Kind::Blob, Kind::Attestation] {
        let check = Check::new("strace", "sees only the bundle", format!("{} by person", kind.word()));
        let outcome = stage.renew_person().and_then(|()| trace(stage, ours, kind));
        report.accepts(check, outcome);
    }
}

fn trace(stage: &Stage<'_>, ours: &Sealog, kind: Kind) -> Outcome {
    let folder = stage.scratch.file(&format!("traced-{}", kind.word()));
    std::fs::create_dir(&folder)?;
    let bundle = folder.join("bundle.sigstore.json");
    let traces = stage.scratch.file(&format!("traces-{}", kind.word()));
    std::fs::create_dir(&traces)?;
    let signing = ours.sign_command(stage, kind, &bundle);
    let mut command = Command::new(&stage.peers.strace);
    // A file for each thread: in one file, calls of two threads cut each other in two.
    command.args(["-ff", "-qq", "-y", "-s", "0", "-e", CALLS, "-o"]).arg(traces.join("thread"));
    command.arg(signing.get_program());
    command.args(signing.get_args()).env("HOME", stage.home());
    command.arg("--identity-token").arg(format!("@{}", stage.person.token_file.display()));
    let finished = process::run(&mut command, LIMIT)?;
    if !finished.succeeded() {
        return Ok(finished);
    }
    let mut seen = Seen::default();
    for thread in std::fs::read_dir(&traces)? {
        seen.add(&std::fs::read_to_string(thread?.path())?);
    }
    seen.only_in(&folder)?;
    let size = std::fs::metadata(&bundle)?.len();
    if seen.written != size {
        bail!("{} bytes were written, and the bundle has {size}", seen.written);
    }
    let left: Vec<PathBuf> =
        std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    if left != [bundle] {
        bail!("beside the bundle stands something else: {left:?}");
    }
    Ok(finished)
}

/// What a trace tells of files.
#[derive(Default)]
struct Seen {
    /// Every path opened for writing, written to, or named anew.
    paths: Vec<String>,
    /// Bytes written to files.
    written: u64,
}

impl Seen {
    /// Adds the calls of one thread.
    fn add(&mut self, trace: &str) {
        for call in trace.lines().filter(|call| !call.contains(" = -1 ")) {
            let Some((name, rest)) = call.split_once('(') else { continue };
            match name {
                "open" | "openat" if !opens_for_writing(rest) => {}
                "open" | "openat" | "creat" | "memfd_create" => self.paths.push(result_path(call)),
                "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" | "sendfile" | "copy_file_range" => {
                    let path = first_path(rest);
                    let file = !NO_FILES.iter().any(|place| path.starts_with(place)) && !is_standard(rest);
                    if file {
                        self.written += result_number(call);
                        self.paths.push(path);
                    }
                }
                _ => self.paths.extend(quoted(rest).map(str::to_owned)),
            }
        }
    }

    /// Every path lies in the folder; a name without a folder is relative to a directory that does.
    fn only_in(&self, folder: &Path) -> Result<()> {
        let allowed = folder.to_string_lossy();
        for path in &self.paths {
            let anonymous = path.starts_with("/proc/self/fd/");
            let no_file = NO_FILES.iter().any(|place| path.starts_with(place));
            if !(path.starts_with(allowed.as_ref()) || anonymous || no_file) {
                bail!("the signing process wrote to {path}");
            }
        }
        Ok(())
    }
}

fn opens_for_writing(arguments: &str) -> bool {
    ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TMPFILE"].iter().any(|flag| arguments.contains(flag))
}

/// Standard output and error are the terminal's.
fn is_standard(arguments: &str) -> bool {
    arguments.starts_with("1<") || arguments.starts_with("2<")
}

/// The path behind the first descriptor: `9</a/b>, …`.
fn first_path(arguments: &str) -> String {
    arguments
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or("", |(path, _)| path)
        .to_owned()
}

/// The path behind the result: `… = 9</a/b>`.
fn result_path(call: &str) -> String {
    call.rsplit_once(" = ").map(|(_, result)| first_path(result)).unwrap_or_default()
}

fn result_number(call: &str) -> u64 {
    let result = call.rsplit_once(" = ").map(|(_, result)| result).unwrap_or_default();
    result.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn quoted(arguments: &str) -> impl Iterator<Item = &str> {
    arguments.split('"').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = r#"openat(AT_FDCWD</tmp/x>, "f.txt", O_RDONLY|O_CLOEXEC) = 3</tmp/x/f.txt>
openat(AT_FDCWD</tmp/x>, "d", O_RDWR|O_CLOEXEC|O_TMPFILE, 0666) = 5</tmp/x/d/#17 (deleted)>
openat(AT_FDCWD</tmp/x>, "/etc/hosts", O_RDWR) = -1 EACCES (Permission denied)
write(9<socket:[123]>, ""..., 700) = 700
write(5</tmp/x/d/#17 (deleted)>, ""..., 120) = 120
write(1<pipe:[5]>, ""..., 20) = 20
renameat(AT_FDCWD</tmp/x>, "/tmp/x/d/a", AT_FDCWD</tmp/x>, "/tmp/x/d/b") = 0
"#;

    fn seen(trace: &str) -> Seen {
        let mut seen = Seen::default();
        seen.add(trace);
        seen
    }

    #[test]
    fn writes_to_files_are_told_from_others() {
        let seen = seen(TRACE);
        assert_eq!(seen.written, 120);
        assert!(seen.only_in(Path::new("/tmp/x/d")).is_ok());
        assert!(seen.only_in(Path::new("/tmp/y")).is_err());
    }

    #[test]
    fn a_key_in_a_file_elsewhere_is_seen() {
        let leak = "openat(AT_FDCWD</>, \"/tmp/key\", O_WRONLY|O_CREAT, 0600) = 4</tmp/key>\n";
        assert!(seen(leak).only_in(Path::new("/tmp/x/d")).is_err());
        assert_eq!(seen("write(4</tmp/x/d/key>, \"\"..., 32) = 32\n").written, 32);
    }
}
