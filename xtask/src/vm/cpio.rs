//! Writes the archive format of an initramfs: cpio "newc", kernel Documentation/driver-api/early-userspace/buffer-format.rst.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

const DIRECTORY: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;
const SYMLINK: u32 = 0o120_777;

/// An archive under construction; directories are added as their contents need them.
pub(super) struct Archive<W: Write> {
    out: W,
    inode: u32,
    names: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            inode: 0,
            names: BTreeSet::new(),
        }
    }

    /// Adds a directory and those above it; `path` is absolute in the archive's own tree.
    pub(super) fn directory(&mut self, path: &Path) -> io::Result<()> {
        let above: Vec<&Path> = path.ancestors().collect();
        for dir in above.into_iter().rev() {
            self.entry(dir, DIRECTORY, &[])?;
        }
        Ok(())
    }

    /// Adds a file that may be executed.
    pub(super) fn file(&mut self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.directory(path.parent().unwrap_or(path))?;
        self.entry(path, EXECUTABLE, content)
    }

    /// Adds a symbolic link.
    pub(super) fn symlink(&mut self, path: &Path, to: &str) -> io::Result<()> {
        self.directory(path.parent().unwrap_or(path))?;
        self.entry(path, SYMLINK, to.as_bytes())
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.record("TRAILER!!!", 0, &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// A name is written once; the first one stands.
    fn entry(&mut self, path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
        let name = path
            .strip_prefix("/")
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned();
        if name.is_empty() || !self.names.insert(name.clone()) {
            return Ok(());
        }
        self.record(&name, mode, content)
    }

    fn record(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.inode = self.inode.wrapping_add(1);
        let too_big = |_error| {
            io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{name} exceeds the format's 4 GiB"),
            )
        };
        let size = u32::try_from(content.len()).map_err(too_big)?;
        let name_size = u32::try_from(name.len()).map_err(too_big)?.wrapping_add(1);
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        let fields = [self.inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.out.write_all(b"070701")?;
        for field in fields {
            write!(self.out, "{field:08x}")?;
        }
        self.out.write_all(name.as_bytes())?;
        self.pad(1, 6 + 8 * fields.len() + name.len())?;
        self.out.write_all(content)?;
        self.pad(0, content.len())
    }

    /// At least `least` zero bytes, then up to a multiple of four.
    fn pad(&mut self, least: usize, written: usize) -> io::Result<()> {
        let count = (written + least).next_multiple_of(4) - written;
        (0..count).try_for_each(|_| self.out.write_all(&[0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(fill: impl FnOnce(&mut Archive<Vec<u8>>)) -> Vec<u8> {
        let mut archive = Archive::new(Vec::new());
        fill(&mut archive);
        archive.finish().unwrap()
    }

    #[test]
    fn every_part_is_aligned_and_named_once() {
        for length in 0..9 {
            let bytes = archive(|archive| {
                archive.file(Path::new("/a/b/file"), &vec![b'x'; length]).unwrap();
                archive.file(Path::new("/a/b/file"), b"again").unwrap();
                archive.symlink(Path::new("/a/link"), "b").unwrap();
            });
            assert_eq!(bytes.len() % 4, 0, "length {length}");
            let starts = bytes
                .windows(6)
                .enumerate()
                .filter(|(_, window)| window == b"070701")
                .map(|(at, _)| at);
            let starts: Vec<usize> = starts.collect();
            // a, a/b, a/b/file, a/link, the trailer
            assert_eq!(starts.len(), 5, "length {length}");
            assert!(starts.iter().all(|at| at % 4 == 0), "length {length}: {starts:?}");
        }
    }

    #[test]
    fn header_holds_mode_and_size() {
        let bytes = archive(|archive| archive.file(Path::new("/init"), b"hello").unwrap());
        let text = String::from_utf8_lossy(&bytes[..110]).into_owned();
        assert_eq!(&text[14..22], "000081ed");
        assert_eq!(&text[54..62], "00000005");
        assert_eq!(&bytes[110..115], b"init\0");
    }
}
