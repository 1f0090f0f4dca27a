//! What a process used: CPU time, memory, disk.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Ticks in a second of `/proc/PID/stat`, which Linux fixes for programs.
const TICKS: f64 = 100.0;
/// A block of `stat`, whatever the file system's are.
const BLOCK: u64 = 512;
/// How often a sync is measured.
const SYNCS: usize = 200;

/// User and system time of a process.
pub(super) fn cpu_seconds(id: u32) -> Result<f64> {
    let path = format!("/proc/{id}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // What follows the name, which may hold anything.
    let (_, rest) = text.rsplit_once(')').context("not a process's statistics")?;
    let ticks = rest.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() / TICKS)
}

/// The most memory a process ever held, in MB, or what it holds now.
pub(super) fn resident_mb(id: u32, field: &str) -> Result<f64> {
    let path = format!("/proc/{id}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line =
        text.lines().find_map(|line| line.strip_prefix(field)).with_context(|| format!("no {field}"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kilobytes / 1024.0)
}

/// Field of the most memory a process ever held.
pub(super) const PEAK: &str = "VmHWM";
/// Field of what it holds.
pub(super) const NOW: &str = "VmRSS";

/// Bytes on the disk under a directory: blocks, not lengths.
pub(super) fn disk_bytes(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.blocks() * BLOCK };
    }
    Ok(sum)
}

/// How long `fdatasync` takes after 4 KiB were written into a file that has its blocks: the floor under every durable answer.
pub(super) fn one_sync(dir: &Path) -> Result<Vec<f64>> {
    use std::os::unix::fs::FileExt as _;
    let path = dir.join("sync");
    let file = std::fs::File::create(&path)?;
    let block = [7; 4096];
    file.write_all_at(&block.repeat(SYNCS), 0)?;
    file.sync_all()?;
    let mut offset = 0;
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all_at(&block, offset)?;
        offset += 4096;
        file.sync_data()?;
        took.push(started.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(1));
    }
    std::fs::remove_file(&path)?;
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Scratch;

    #[test]
    fn a_process_is_told_what_it_used() {
        let id = std::process::id();
        assert!(cpu_seconds(id).unwrap() >= 0.0);
        assert!(resident_mb(id, PEAK).unwrap() >= resident_mb(id, NOW).unwrap() / 2.0);
        assert!(resident_mb(id, "Nothing").is_err());
    }

    #[test]
    fn disks_are_asked_for_blocks() {
        let scratch = Scratch::new("usage").unwrap();
        std::fs::create_dir(scratch.file("deep")).unwrap();
        std::fs::write(scratch.file("deep/file"), [1; 5000]).unwrap();
        std::fs::File::open(scratch.file("deep/file")).unwrap().sync_all().unwrap();
        assert!(disk_bytes(scratch.path()).unwrap() >= 5000);
    }
}
