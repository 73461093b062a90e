//! Pods and containers of this node, asked of the container runtime by CRI over its Unix socket.
//!
//! Works without the API server. Nothing it told is taken back because the runtime is away.
#![forbid(unsafe_code)]

mod client;
mod diff;
mod discover;
mod events;
mod facts;
mod health;
mod known;
mod session;
mod wire;

use std::{convert::Infallible, mem, time::Duration};

pub use self::discover::{Discovery, Socket, discover};
use self::{
    client::{Client, Trouble},
    health::{Health, fault},
    known::Known,
    session::{End, Voice},
};
use super::{Resolver, Teller};
use crate::signal::Degraded;

/// How long an answer may take; doubled each time one takes longer, so that a slow runtime is heard in the end.
const PATIENCE: Duration = Duration::from_secs(2);
const PATIENCE_MAX: Duration = Duration::from_secs(16);
/// Between attempts.
const RETRY: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Between attempts where nobody said that there is a CRI.
const RETRY_GUESSED: Duration = Duration::from_secs(30);

/// The container runtime behind one socket.
#[derive(Debug)]
pub struct Cri {
    socket: Socket,
    patience: Duration,
}

impl Cri {
    /// Asks nothing yet.
    pub const fn new(socket: Socket) -> Self {
        Self {
            socket,
            patience: PATIENCE,
        }
    }

    async fn attend(
        &self,
        patience: Duration,
        known: &mut Known,
        voice: &mut Voice<'_>,
    ) -> Result<Infallible, End> {
        let client = Client::connect(&self.socket.path, patience).await?;
        let version = client.version().await?;
        session::run(&client, &version, known, voice).await
    }
}

impl Resolver for Cri {
    fn name(&self) -> String {
        format!("CRI {}", self.socket.shown.display())
    }

    fn run(self: Box<Self>, teller: &Teller) {
        let name = self.name();
        let mut voice = Voice {
            name: &name,
            teller,
            health: Health::new(teller.clone()),
            gaps: Health::of_part(teller.part("entries")),
            worked: false,
        };
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let fault = Degraded {
                    what: format!("{name} is not asked for pods and containers"),
                    why: format!("no event loop could be made: {error}"),
                    remedy: "raise the limit of open files (ulimit -n)".to_owned(),
                };
                // Nothing is left to do, heard or not.
                let _heard = voice.health.set(Some(fault));
                return;
            }
        };
        let mut known = Known::default();
        let mut patience = self.patience;
        let mut retry = RETRY;
        loop {
            let Err(end) = runtime.block_on(self.attend(patience, &mut known, &mut voice));
            let trouble = match end {
                End::Over(_over) => return,
                End::Trouble(trouble) => trouble,
            };
            if matches!(trouble, Trouble::Silent { .. }) {
                patience = (patience * 2).min(PATIENCE_MAX);
            }
            if mem::take(&mut voice.worked) {
                retry = RETRY;
                // The next attempt says better what is wrong, if anything: a quick restart is not.
                if matches!(trouble, Trouble::Lost { .. }) {
                    if teller.pause(RETRY) {
                        continue;
                    }
                    return;
                }
            }
            // A containerd that serves Docker alone has no CRI: nothing is wrong with it.
            let is_none = self.socket.guessed && matches!(trouble, Trouble::Unknown { call: "Version", .. });
            let pause = if is_none { RETRY_GUESSED } else { retry };
            let fault = (!is_none).then(|| fault(&name, &self.socket.shown, &trouble));
            if voice.health.set(fault).is_err() || !teller.pause(pause) {
                return;
            }
            retry = (retry * 2).min(RETRY_MAX);
        }
    }
}

#[cfg(test)]
mod tests;
