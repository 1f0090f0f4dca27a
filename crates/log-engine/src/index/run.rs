//! One run: the tags of a power of two of leaves, sorted, in a file that never changes.
//!
//! ```text
//! pages | first tag of each page, u64 | filter |
//! magic "SEALRUN1" | level u8 | base bits u8 | fan bits u8 | 0 (5) | number u64 | pages u64 | tree size u64 | root hash 32
//!   | crc32c u32 of everything else behind the pages
//! ```
//!
//! What stands behind the pages is read when the log opens and kept; a page is read when an entry may be in it, and has
//! its own checksum. The tree size and the root hash are of the log when the run was made, hence a run of another log, or
//! of one that went another way, is told from ours.

use std::io;

use sealog_tlog::Hash;

use super::dir::{Dir, NewFile, ReadAt};
use super::filter::Filter;
use super::page::{self, PAGE_LEN, Page, PageWriter};
use super::{Extent, Shape};

const MAGIC: [u8; 8] = *b"SEALRUN1";
const HEAD_LEN: usize = 72;
const TRAILER_LEN: usize = HEAD_LEN + 4;
const FENCE_LEN: u64 = 8;

/// Pages written, and read while runs are merged, at a time.
const STRIDE: usize = 16;

/// A tree that a run is of: size and root hash.
pub(crate) type OfTree = (u64, Hash);

pub(crate) struct Run {
    pub(crate) extent: Extent,
    pub(crate) of: OfTree,
    shape: Shape,
    /// First tag of each page.
    fences: Vec<u64>,
    filter: Filter,
    file: Box<dyn ReadAt>,
}

/// Why a run, or a part of it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("{0}")]
    Damaged(&'static str),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Run {
    /// Opens a run that was finished once. Every error but one that passes by itself means that it has to be made again.
    pub(crate) fn open(dir: &dyn Dir, shape: Shape, extent: Extent) -> Result<Self, RunError> {
        let file = dir.open(&extent.name())?;
        let len = file.len()?;
        let mut trailer = [0; TRAILER_LEN];
        let trailer_at = len.checked_sub(TRAILER_LEN as u64).ok_or(RunError::Damaged("too short"))?;
        file.read_exact_at(&mut trailer, trailer_at)?;
        let (head, sum) = trailer.split_at(HEAD_LEN);
        let field = |at: usize| {
            let bytes = head.get(at..).and_then(|rest| rest.first_chunk::<8>());
            u64::from_le_bytes(bytes.copied().unwrap_or_default())
        };
        let (pages, size) = (field(24), field(32));
        let root = head.last_chunk::<32>().copied().unwrap_or_default();
        if head != trailer_head(shape, extent, pages, &(size, Hash(root))) {
            return Err(RunError::Damaged("the trailer is of something else"));
        }
        let filter_len = Filter::len_for(extent.leaves(shape));
        let fences_at = pages.checked_mul(PAGE_LEN as u64);
        let filter_at = fences_at.and_then(|at| at.checked_add(pages * FENCE_LEN));
        if filter_at.and_then(|at| at.checked_add(filter_len)) != Some(trailer_at) {
            return Err(RunError::Damaged("the file has another length than its trailer says"));
        }
        // No more is allocated than the file has bytes.
        let read = |len: u64, at: Option<u64>| -> Result<Vec<u8>, RunError> {
            let len = usize::try_from(len).map_err(|_| RunError::Damaged("too long"))?;
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, at.unwrap_or(0))?;
            Ok(bytes)
        };
        let fences = read(pages * FENCE_LEN, fences_at)?;
        let filter = read(filter_len, filter_at)?;
        if checksum(&fences, &filter, head).to_le_bytes() != *sum {
            return Err(RunError::Damaged("the checksum of its tables does not hold"));
        }
        let fences = fences.as_chunks::<8>().0.iter().map(|fence| u64::from_le_bytes(*fence)).collect();
        Ok(Self { extent, of: (size, Hash(root)), shape, fences, filter: Filter::of(filter), file })
    }

    pub(crate) fn may_have(&self, tag: u64) -> bool {
        self.filter.may_have(tag)
    }

    /// Appends the leaves of this tag, in order. Reads one page, or all whose first tag is this one and the one before.
    pub(crate) fn find(&self, tag: u64, found: &mut Vec<u64>) -> Result<(), RunError> {
        let first_leaf = self.extent.first(self.shape);
        let start = self.fences.partition_point(|fence| *fence < tag).saturating_sub(1);
        for (n, _) in self.fences.iter().enumerate().skip(start).take_while(|(_, fence)| **fence <= tag) {
            let mut page = [0; PAGE_LEN];
            self.file.read_exact_at(&mut page, n as u64 * PAGE_LEN as u64)?;
            let entries = self.entries(&page, n)?;
            let of_tag = entries.skip_while(|(other, _)| *other < tag).take_while(|(other, _)| *other == tag);
            found.extend(of_tag.map(|(_, offset)| first_leaf + offset));
        }
        Ok(())
    }

    fn entries<'a>(&self, page: &'a Page, n: usize) -> Result<page::Entries<'a>, RunError> {
        page::entries(page, place(self.extent, n), self.extent.bits(self.shape))
            .ok_or(RunError::Damaged("the checksum of a page does not hold"))
    }
}

/// The entries of a run in order, read with bounded memory.
pub(crate) struct Entries<'a> {
    run: &'a Run,
    next_page: usize,
    /// Of some pages, last first.
    read: Vec<(u64, u64)>,
    bytes: Vec<u8>,
}

impl<'a> Entries<'a> {
    pub(crate) fn of(run: &'a Run) -> Self {
        Self { run, next_page: 0, read: Vec::new(), bytes: Vec::new() }
    }

    /// Tag and offset of the next entry.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, u64)>, RunError> {
        if self.read.is_empty() {
            self.read_more()?;
        }
        Ok(self.read.pop())
    }

    fn read_more(&mut self) -> Result<(), RunError> {
        let pages = STRIDE.min(self.run.fences.len() - self.next_page);
        self.bytes.resize(pages * PAGE_LEN, 0);
        self.run.file.read_exact_at(&mut self.bytes, self.next_page as u64 * PAGE_LEN as u64)?;
        for page in self.bytes.as_chunks::<PAGE_LEN>().0 {
            self.read.extend(self.run.entries(page, self.next_page)?);
            self.next_page += 1;
        }
        self.read.reverse();
        Ok(())
    }
}

/// Writes a run from entries that come in order.
pub(crate) struct RunWriter {
    extent: Extent,
    of: OfTree,
    shape: Shape,
    file: Box<dyn NewFile>,
    page: PageWriter,
    unwritten: Vec<u8>,
    fences: Vec<u64>,
    filter: Filter,
    count: u64,
}

impl RunWriter {
    pub(crate) fn new(dir: &dyn Dir, shape: Shape, extent: Extent, of: OfTree) -> io::Result<Self> {
        let filter_len = usize::try_from(Filter::len_for(extent.leaves(shape))).map_err(io::Error::other)?;
        Ok(Self {
            extent,
            of,
            shape,
            file: dir.create(&extent.name())?,
            page: PageWriter::new(extent.bits(shape)),
            unwritten: Vec::with_capacity(STRIDE * PAGE_LEN),
            fences: Vec::new(),
            filter: Filter::of(vec![0; filter_len]),
            count: 0,
        })
    }

    pub(crate) fn push(&mut self, tag: u64, offset: u64) -> io::Result<()> {
        if !self.page.push(tag, offset) {
            self.write_page()?;
            self.page.push(tag, offset);
        }
        self.filter.insert(tag);
        self.count += 1;
        Ok(())
    }

    /// The run, durable and open.
    pub(crate) fn finish(mut self) -> io::Result<Run> {
        self.write_page()?;
        if self.count != self.extent.leaves(self.shape) {
            let text = format!("a run of {} leaves from {}", self.extent.leaves(self.shape), self.count);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        self.file.append(&self.unwritten)?;
        let fences: Vec<_> = self.fences.iter().flat_map(|fence| fence.to_le_bytes()).collect();
        let filter = self.filter.as_bytes();
        let head = trailer_head(self.shape, self.extent, self.fences.len() as u64, &self.of);
        self.file.append(&fences)?;
        self.file.append(filter)?;
        self.file.append(&head)?;
        self.file.append(&checksum(&fences, filter, &head).to_le_bytes())?;
        let file = self.file.finish()?;
        let Self { extent, of, shape, fences, filter, .. } = self;
        Ok(Run { extent, of, shape, fences, filter, file })
    }

    fn write_page(&mut self) -> io::Result<()> {
        if let Some(first) = self.page.first_tag() {
            let n = self.fences.len();
            self.fences.push(first);
            self.unwritten.extend_from_slice(&self.page.take(place(self.extent, n)));
        }
        if self.unwritten.len() >= STRIDE * PAGE_LEN {
            self.file.append(&self.unwritten)?;
            self.unwritten.clear();
        }
        Ok(())
    }
}

/// Mixed into a page's checksum: which page of which run it is.
fn place(extent: Extent, n: usize) -> u32 {
    let run = crc32c::crc32c_append(u32::from(extent.level), &extent.number.to_le_bytes());
    crc32c::crc32c_append(run, &(n as u64).to_le_bytes())
}

fn trailer_head(shape: Shape, extent: Extent, pages: u64, of: &OfTree) -> [u8; HEAD_LEN] {
    let kind = [extent.level, shape.base_bits, shape.fan_bits, 0, 0, 0, 0, 0];
    let numbers = [extent.number, pages, of.0].map(u64::to_le_bytes);
    let parts = [&MAGIC[..], &kind, numbers.as_flattened(), of.1.as_ref()];
    let mut head = [0; HEAD_LEN];
    for (to, from) in head.iter_mut().zip(parts.into_iter().flatten()) {
        *to = *from;
    }
    head
}

fn checksum(fences: &[u8], filter: &[u8], head: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(fences), filter), head)
}
