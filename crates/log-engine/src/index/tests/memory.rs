//! A directory in memory that dies between any two operations, or in the middle of one.

use super::*;

#[derive(Clone, Default)]
pub(super) struct MemoryDir(Arc<Mutex<Disk>>);

type Content = Arc<Mutex<Vec<u8>>>;

#[derive(Default)]
struct Disk {
    files: HashMap<String, Content>,
    /// Removed since names were last made durable: a dying machine may have them again.
    removed: Vec<(String, Content)>,
    left: Option<u64>,
    seed: u64,
    dead: bool,
    refused: Option<i32>,
}

impl Disk {
    /// Counts an operation; true when it is the one the process dies in.
    fn dies(&mut self) -> io::Result<bool> {
        if let Some(errno) = self.refused {
            return Err(io::Error::from_raw_os_error(errno));
        }
        if self.dead {
            return Err(io::Error::other("dead"));
        }
        if self.left == Some(0) {
            self.dead = true;
            return Ok(true);
        }
        self.left = self.left.map(|left| left - 1);
        Ok(false)
    }

    fn chance(&mut self) -> u64 {
        self.seed = self.seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        self.seed >> 33
    }
}

impl MemoryDir {
    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    pub(super) fn die_after(&self, operations: u64, seed: u64) {
        let mut disk = self.lock();
        (disk.left, disk.seed) = (Some(operations), seed);
    }

    pub(super) fn may_die(&self) -> bool {
        let disk = self.lock();
        disk.dead || disk.left.is_some()
    }

    pub(super) fn revive(&self) {
        let mut disk = self.lock();
        let removed = std::mem::take(&mut disk.removed);
        if disk.dead {
            for (name, content) in removed {
                if disk.chance().is_multiple_of(2) {
                    disk.files.entry(name).or_insert(content);
                }
            }
        }
        (disk.left, disk.dead) = (None, false);
    }

    pub(super) fn refuse(&self, errno: Option<i32>) {
        self.lock().refused = errno;
    }

    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.lock().files.keys().cloned().collect();
        names.sort();
        names
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        self.lock().files[name].lock().unwrap().clone()
    }

    /// In place: who has the file open sees it.
    pub(super) fn write(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.lock().files[name].lock().unwrap());
    }

    pub(super) fn put(&self, name: &str, bytes: Vec<u8>) {
        self.lock().files.insert(name.to_owned(), Arc::new(Mutex::new(bytes)));
    }

    fn pick(&self, file: &Pick) -> Option<String> {
        let names = self.names();
        (!names.is_empty()).then(|| file.get(&names).clone())
    }

    pub(super) fn damage(&self, file: &Pick, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let name = self.pick(file);
        name.is_some_and(|name| {
            self.write(&name, change);
            true
        })
    }

    pub(super) fn lose(&self, file: &Pick) -> Option<Content> {
        let name = self.pick(file)?;
        self.lock().files.remove(&name)
    }
}

impl Dir for MemoryDir {
    fn list(&self) -> io::Result<Vec<String>> {
        if self.lock().dies()? {
            return Err(io::Error::other("died"));
        }
        Ok(self.names())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn ReadAt>> {
        let mut disk = self.lock();
        if disk.dies()? {
            return Err(io::Error::other("died"));
        }
        let content = disk.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Open(Arc::clone(content))))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>> {
        let mut disk = self.lock();
        let stray = format!(".{name}.tmp");
        let content = Content::default();
        let dies = disk.dies()?;
        if !dies || disk.chance().is_multiple_of(2) {
            disk.files.insert(stray.clone(), Arc::clone(&content));
        }
        if dies {
            return Err(io::Error::other("died"));
        }
        Ok(Box::new(New { dir: self.clone(), name: name.to_owned(), stray, content }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.lock();
        let dies = disk.dies()?;
        if (!dies || disk.chance().is_multiple_of(2))
            && let Some(content) = disk.files.remove(name)
        {
            disk.removed.push((name.to_owned(), content));
        }
        if dies { Err(io::Error::other("died")) } else { Ok(()) }
    }
}

struct Open(Content);

impl ReadAt for Open {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let content = self.0.lock().unwrap();
        let from = usize::try_from(offset).unwrap();
        let found = content.get(from..from + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }
}

struct New {
    dir: MemoryDir,
    name: String,
    stray: String,
    content: Content,
}

impl NewFile for New {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.dir.lock();
        let dies = disk.dies()?;
        let len =
            if dies { usize::try_from(disk.chance()).unwrap() % (bytes.len() + 1) } else { bytes.len() };
        self.content.lock().unwrap().extend_from_slice(&bytes[..len]);
        if dies { Err(io::Error::other("died")) } else { Ok(()) }
    }

    fn finish(self: Box<Self>) -> io::Result<Box<dyn ReadAt>> {
        let mut disk = self.dir.lock();
        let dies = disk.dies()?;
        if !dies || disk.chance().is_multiple_of(2) {
            disk.files.remove(&self.stray);
            disk.files.insert(self.name.clone(), Arc::clone(&self.content));
        }
        if dies {
            return Err(io::Error::other("died"));
        }
        disk.removed.clear();
        Ok(Box::new(Open(Arc::clone(&self.content))))
    }
}
