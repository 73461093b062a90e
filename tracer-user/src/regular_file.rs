//! Opens and reads what somebody named as a file: a regular file of bounded size, or an error that says what it is.
//!
//! No pipe is waited for, and no device is opened or read without end.
#![forbid(unsafe_code)]

use std::{
    fs::{self, File, FileType, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::fs::OFlags;

/// Opens a regular file for reading.
pub fn open(path: &Path) -> io::Result<File> {
    // Looked at before it is opened: merely opening a device may set it to work.
    is_regular(fs::metadata(path)?.file_type())?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    is_regular(file.metadata()?.file_type())?;
    Ok(file)
}

/// All bytes of a regular file; one of more than `max` is refused.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= max) {
        return Ok(bytes);
    }
    Err(io::Error::other(format!("it is larger than {} KiB", max >> 10)))
}

/// As [`read`], for text.
pub fn read_text(path: &Path, max: u64) -> io::Result<String> {
    // The bytes are not passed on: they may be secret.
    String::from_utf8(read(path, max)?).map_err(|_bytes| io::Error::other("it is not UTF-8"))
}

fn is_regular(kind: FileType) -> io::Result<()> {
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(io::Error::other(format!("it is {what}, not a regular file")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    #[test]
    fn only_regular_files_are_read_and_nothing_is_waited_for() {
        let dir = std::env::temp_dir().join(format!("kcn-regular-file-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("whole"), "text").unwrap();
        fs::write(dir.join("bytes"), [0xff]).unwrap();
        mkfifoat(CWD, dir.join("fifo"), Mode::from(0o600)).unwrap();
        drop(UnixListener::bind(dir.join("socket")).unwrap());
        let long = dir.join("long");
        fs::write(&long, [b' '; 2048]).unwrap();
        let cases = [
            (dir.join("whole"), Ok("text")),
            (dir.join("bytes"), Err("it is not UTF-8")),
            (dir.join("fifo"), Err("it is a pipe, not a regular file")),
            (dir.join("socket"), Err("it is a socket, not a regular file")),
            (dir.clone(), Err("it is a directory, not a regular file")),
            ("/dev/zero".into(), Err("it is a device, not a regular file")),
            (long, Err("it is larger than 1 KiB")),
            (dir.join("absent"), Err("No such file or directory (os error 2)")),
        ];
        for (path, want) in cases {
            let got = read_text(&path, 1024);
            let got = got.as_ref().map(String::as_str).map_err(ToString::to_string);
            assert_eq!(got, want.map_err(str::to_owned), "case: {}", path.display());
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
