//! Tells each change of the runtime's health once, in words that help.
#![forbid(unsafe_code)]

use std::{io, path::Path};

use super::client::Trouble;
use crate::{
    resolve::{Over, Teller},
    signal::Degraded,
};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Works,
    Fails(Degraded),
}

/// What was said last of one source.
#[derive(Debug)]
pub(super) struct Health {
    teller: Teller,
    last: Said,
}

impl Health {
    /// Of a source of which nothing was said.
    pub(super) const fn new(teller: Teller) -> Self {
        Self {
            teller,
            last: Said::Nothing,
        }
    }

    /// Of a part that is taken to work until something is said.
    pub(super) const fn of_part(teller: Teller) -> Self {
        Self {
            teller,
            last: Said::Works,
        }
    }

    /// Says whether it works, if that is news.
    pub(super) fn set(&mut self, fault: Option<Degraded>) -> Result<(), Over> {
        let said = fault.map_or(Said::Works, Said::Fails);
        if self.last == said {
            return Ok(());
        }
        match &said {
            Said::Nothing | Said::Works => self.teller.works()?,
            Said::Fails(fault) => self.teller.fails(fault.clone())?,
        }
        self.last = said;
        Ok(())
    }
}

/// What an operator reads and can do.
pub(super) fn fault(name: &str, socket: &Path, trouble: &Trouble) -> Degraded {
    let socket = socket.display();
    let (why, remedy) = match trouble {
        Trouble::Connect { kind, message } => connect(*kind, message),
        Trouble::Silent { .. } => (
            trouble.to_string(),
            format!("see whether the runtime hangs: crictl --runtime-endpoint unix://{socket} info"),
        ),
        Trouble::Unknown { .. } => (
            format!("it does not serve CRI v1: {trouble}"),
            "enable the runtime's CRI (containerd: disabled_plugins in config.toml; docker: cri-dockerd), or name \
             another socket with --cri-socket"
                .to_owned(),
        ),
        Trouble::Missing { .. } | Trouble::Lost { .. } | Trouble::Refused { .. } => (
            trouble.to_string(),
            "read the runtime's log (journalctl -u containerd, or crio); it is asked again by itself".to_owned(),
        ),
    };
    Degraded {
        what: format!("{name} is not asked for pods and containers"),
        why,
        remedy,
    }
}

fn connect(kind: io::ErrorKind, message: &str) -> (String, String) {
    const NAME_IT: &str = "start the container runtime, or name its socket with --cri-socket";
    let (why, remedy) = if kind == io::ErrorKind::NotFound {
        ("there is no such socket".to_owned(), NAME_IT)
    } else if kind == io::ErrorKind::PermissionDenied {
        let remedy = "run as root, or mount the socket where this user may connect to it";
        ("permission denied".to_owned(), remedy)
    } else if kind == io::ErrorKind::ConnectionRefused {
        ("nobody listens there (connection refused)".to_owned(), NAME_IT)
    } else {
        (message.to_owned(), NAME_IT)
    };
    (why, remedy.to_owned())
}

/// Names that are missing though the runtime answers.
pub(super) fn gaps(name: &str, refused: usize, silent: usize) -> Option<Degraded> {
    if refused == 0 && silent == 0 {
        return None;
    }
    Some(Degraded {
        what: format!("{name} tells some pods or containers incompletely"),
        why: format!("{refused} entries made no sense, {silent} statuses were refused or not answered in time"),
        remedy: "look for hung shims or damaged entries: crictl pods, crictl ps -a; they are asked again every 30 s"
            .to_owned(),
    })
}
