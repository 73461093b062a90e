//! Names of users, from a file like /etc/passwd, read once.
#![forbid(unsafe_code)]

use std::{collections::HashMap, fs::File, io::Read, path::Path};

/// Bytes read of the file: about 20,000 users.
const FILE_BYTES: u64 = 1024 * 1024;

/// Bytes of a name: `LOGIN_NAME_MAX`.
const NAME_BYTES: usize = 256;

/// Names by user id. What cannot be read has no name; directory services are not asked.
#[derive(Clone, Debug, Default)]
pub struct Users(HashMap<u32, String>);

impl Users {
    /// The users of the first of these files that can be read.
    pub fn read(files: &[&Path]) -> Self {
        let mut bytes = Vec::new();
        let read = files.iter().any(|path| {
            bytes.clear();
            // Opening a pipe or device for reading could wait for ever.
            path.is_file()
                && File::open(path)
                    .and_then(|file| file.take(FILE_BYTES).read_to_end(&mut bytes))
                    .is_ok()
        });
        if read {
            Self::parse(&String::from_utf8_lossy(&bytes))
        } else {
            Self::default()
        }
    }

    /// passwd(5): `name:password:uid:...`. The first of several names of one id wins, as in the C library.
    fn parse(text: &str) -> Self {
        let mut users = HashMap::new();
        for line in text.lines() {
            let mut fields = line.split(':');
            let (name, uid) = (fields.next(), fields.nth(1));
            let uid = uid.and_then(|uid| uid.parse().ok());
            if let (Some(name), Some(uid)) = (name.filter(|name| is_name(name)), uid) {
                users.entry(uid).or_insert_with(|| name.to_owned());
            }
        }
        Self(users)
    }

    /// Name of a user.
    pub fn name(&self, uid: u32) -> Option<&str> {
        self.0.get(&uid).map(String::as_str)
    }
}

/// NIS left lines that begin with `+` or `-`.
fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len()) && !name.starts_with(['+', '-', '#'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_name_of_an_id_counts_and_odd_lines_are_passed_over() {
        let users = Users::parse(
            "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/root:\n+::::::\n# note:x:9\n\nbroken\nalice:x:1000:1000\n\
             noid:x:abc:1\n:x:1001:1::\nbig:x:99999999999:1\n",
        );
        assert_eq!(users.name(0), Some("root"));
        assert_eq!(users.name(1000), Some("alice"));
        assert_eq!(users.0.len(), 2, "{users:?}");
    }

    #[test]
    fn the_first_file_that_can_be_read_is_taken() {
        let missing = Path::new("/nonexistent/passwd");
        assert_eq!(Users::read(&[missing]).name(0), None);
        assert_eq!(Users::read(&[Path::new("/dev/zero")]).name(0), None, "no file");
        let file = std::env::temp_dir().join(format!("kcn-trace-passwd-{}", std::process::id()));
        std::fs::write(&file, "alice:x:7:7::/:\n").unwrap();
        let users = Users::read(&[missing, &file]);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(users.name(7), Some("alice"));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "[a-z:0-9\n+\u{0}é-]{0,200}") {
            let users = Users::parse(&text);
            prop_assert!(users.0.len() <= text.lines().count());
        }
    }
}
