//! What is to be checked: from what was typed to files, digests and the entries of lists, in a fixed order.

use super::{
    bundles::artifact_of,
    checksums::{self, Listed, MAX_LIST_BYTES},
};
use crate::{
    args::VerifyArgs,
    artifact,
    failure::{Failure, Status, quoted},
};
use sealog_crypto::Digest;
use std::{
    fs::{self, DirEntry},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// One thing to check, and the name by which it is told.
pub(crate) struct Subject {
    /// As people know it.
    pub(crate) name: PathBuf,
    /// What it is.
    pub(crate) kind: Kind,
    /// Whether it was found in a directory, and not named.
    pub(crate) walked: bool,
}

/// What there is to check.
pub(crate) enum Kind {
    /// A file, a pipe, or standard input.
    File,
    /// A digest and nothing else.
    Digest(Digest),
    /// A file that a list names, there or not.
    Listed {
        /// The list.
        list: Arc<Path>,
        /// The digests it must have, with the lines that say so.
        digests: Vec<(usize, Digest)>,
    },
    /// Nothing that can be checked, which must be said.
    Unchecked(Failure),
}

impl Subject {
    const fn file(name: PathBuf) -> Self {
        Self { name, kind: Kind::File, walked: false }
    }

    const fn unchecked(name: PathBuf, failure: Failure) -> Self {
        Self { name, kind: Kind::Unchecked(failure), walked: false }
    }
}

/// Everything to check. Directories are read as their turn comes; a list is read at once and refused as a whole.
pub(crate) fn subjects(args: &VerifyArgs) -> Result<impl Iterator<Item = Subject>, Failure> {
    let given = args.bundles.bundle.len();
    if given > 0 && (args.artifacts.len() > 1 || args.bundles.checksums.is_some()) {
        return Err(Failure::usage("--bundle is for a single artifact, and there are several")
            .hint("without --bundle each bundle is looked for beside its file"));
    }
    let sources = args.artifacts.iter().chain(&args.bundles.bundle).chain(&args.bundles.checksums);
    if sources.filter(|path| artifact::is_standard_input(path)).count() > 1 {
        return Err(Failure::usage("standard input is named twice, and can be read once"));
    }
    let listed = args.bundles.checksums.as_deref().map(read_list).transpose()?.unwrap_or_default();
    let is_for_one = given > 0;
    let named = args.artifacts.clone().into_iter().flat_map(move |name| from_name(name, is_for_one));
    Ok(named.chain(listed))
}

fn from_name(name: PathBuf, is_for_one: bool) -> Box<dyn Iterator<Item = Subject>> {
    let one = |subject| Box::new(std::iter::once(subject));
    match artifact::as_digest(&name) {
        Some(Ok(digest)) => one(Subject { name, kind: Kind::Digest(digest), walked: false }),
        // A wrong digest is a wrong command line; it must not depend on what the bundle says.
        Some(Err(failure)) => one(Subject::unchecked(name, failure)),
        // With --bundle a directory is a mistake, told when it is opened as a file.
        None if !is_for_one && name.is_dir() => Box::new(Walk::of(name)),
        None => one(Subject::file(name)),
    }
}

/// The entries of a list. Names are those of files beside the list.
fn read_list(list: &Path) -> Result<Vec<Subject>, Failure> {
    let bytes = artifact::read_bounded(list, MAX_LIST_BYTES)?;
    let listed = checksums::parse(&bytes).map_err(|bad| {
        let message = format!("line {} of {} {}", bad.line, quoted(list), bad.fault);
        Failure::unable("checksums", message).hint("nothing was checked; is this the list you meant?")
    })?;
    if listed.is_empty() {
        return Err(Failure::unable("checksums", format!("{} lists nothing", quoted(list))));
    }
    let directory = if artifact::is_standard_input(list) { None } else { list.parent() };
    let list: Arc<Path> = list.into();
    let subject = |Listed { name, digests }| {
        let name = directory.map_or_else(|| name.clone(), |directory| directory.join(&name));
        // A file of that name, which is not standard input.
        let name = if artifact::is_standard_input(&name) { Path::new(".").join(name) } else { name };
        Subject { name, kind: Kind::Listed { list: Arc::clone(&list), digests }, walked: false }
    };
    Ok(listed.into_iter().map(subject).collect())
}

/// A directory and all below it, names in order; bundles are not files to check. Links to directories are not
/// followed, and nothing is passed over in silence.
struct Walk {
    root: PathBuf,
    is_empty: bool,
    /// Directories under way, each with the entries still to come, last one first.
    open: Vec<Vec<Entry>>,
    /// A directory that was met and not yet opened.
    next: Option<PathBuf>,
}

type Entry = (PathBuf, io::Result<fs::FileType>);

impl Walk {
    fn of(root: PathBuf) -> Self {
        Self { next: Some(root.clone()), root, is_empty: true, open: Vec::new() }
    }

    /// Opens a directory; what cannot be read of it comes back.
    fn open(&mut self, directory: PathBuf) -> Option<Subject> {
        let read = fs::read_dir(&directory).and_then(|list| list.collect::<io::Result<Vec<DirEntry>>>());
        match read {
            Ok(list) => {
                let mut entries: Vec<Entry> =
                    list.into_iter().map(|entry| (entry.path(), entry.file_type())).collect();
                entries.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
                self.open.push(entries);
                None
            }
            Err(cause) => {
                let message = format!("the directory {} cannot be read: {cause}", quoted(&directory));
                Some(Subject::unchecked(directory, Failure::unable("input", message)))
            }
        }
    }

    /// What an entry is to us; none for directories, which are opened next, and for bundles of files here.
    fn classify(&mut self, (path, kind): Entry) -> Option<Subject> {
        let name = path.display().to_string();
        let unable = |class, words: &str| Some(Failure::unable(class, format!("`{name}` {words}")));
        let failure = match kind {
            Err(cause) => Some(artifact::unreadable(&path, &cause)),
            Ok(kind) if kind.is_dir() => {
                self.next = Some(path);
                return None;
            }
            Ok(kind) if kind.is_symlink() && path.is_dir() => {
                unable("link", "is a link to a directory, which is not followed")
                    .map(|failure| failure.hint("name the link itself to check what is behind it"))
            }
            Ok(kind) if !kind.is_file() && !kind.is_symlink() => {
                unable("input", "is neither a file nor a directory")
            }
            Ok(_) => match artifact_of(&path) {
                // A link may lead to a pipe. Where it leads nowhere is told when it is opened.
                None if path.exists() => artifact::check_is_file(&path).err(),
                None => None,
                Some(file) if artifact_of(&file).is_some() => {
                    unable("no-file", "is the bundle of a bundle; bundles are not checked themselves")
                }
                Some(file) if file.symlink_metadata().is_ok_and(|there| !there.is_dir()) => return None,
                Some(file) => {
                    let words = format!("is the bundle of {}, and there is no such file", quoted(&file));
                    unable("no-file", &words)
                }
            },
        };
        Some(match failure {
            Some(failure) => Subject::unchecked(path, failure),
            None => Subject { walked: true, ..Subject::file(path) },
        })
    }
}

impl Iterator for Walk {
    type Item = Subject;

    fn next(&mut self) -> Option<Subject> {
        loop {
            let found = match self.next.take() {
                Some(directory) => self.open(directory),
                None => match self.open.last_mut() {
                    Some(entries) => match entries.pop() {
                        Some(entry) => self.classify(entry),
                        None => {
                            self.open.pop();
                            None
                        }
                    },
                    // Nothing to check is not the same as everything checked.
                    None if self.is_empty => {
                        let message = format!("the directory {} holds no files", quoted(&self.root));
                        let failure = Failure::new(Status::Unable, "no-file", message);
                        Some(Subject::unchecked(self.root.clone(), failure))
                    }
                    None => return None,
                },
            };
            if found.is_some() {
                self.is_empty = false;
                return found;
            }
        }
    }
}
