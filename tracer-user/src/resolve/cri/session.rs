//! One connection's life: list, ask for what lists do not tell, then follow changes.
#![forbid(unsafe_code)]

use std::{convert::Infallible, time::Duration};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    client::{Client, Trouble},
    events::Events,
    facts,
    health::{Health, gaps},
    known::{Answer, Ask, Known},
    wire::Version,
};
use crate::{
    clock,
    resolve::{Over, Teller},
    signal::inventory::Origin,
};

/// Without events, lists are compared this often.
const POLL: Duration = Duration::from_secs(2);
/// With events, and for what was asked in vain.
const CHECK: Duration = Duration::from_secs(30);
/// After an event, so that one start of a pod is one list and not five.
const GATHER: Duration = Duration::from_millis(100);
/// How often the end of the run is looked for.
const STEP: Duration = Duration::from_millis(250);
/// Lists with more entries are compared less often, in proportion: listing costs the runtime too.
const SMALL: usize = 1000;
/// Statuses asked for at once.
const AT_ONCE: usize = 8;
/// Statuses asked for before changes are looked for again.
const BATCH: usize = 128;

/// Why a session ended.
#[derive(Debug)]
pub(super) enum End {
    Over(Over),
    Trouble(Trouble),
}

impl From<Over> for End {
    fn from(over: Over) -> Self {
        Self::Over(over)
    }
}

impl From<Trouble> for End {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// What one source says to the pipeline.
#[derive(Debug)]
pub(super) struct Voice<'a> {
    pub(super) name: &'a str,
    pub(super) teller: &'a Teller,
    pub(super) health: Health,
    pub(super) gaps: Health,
    /// This session's first answer was complete.
    pub(super) worked: bool,
}

/// Follows the runtime until something ends it. Nothing is told while an answer is awaited: telling may block.
pub(super) async fn run(
    client: &Client,
    version: &Version,
    known: &mut Known,
    voice: &mut Voice<'_>,
) -> Result<Infallible, End> {
    known.runtime = facts::runtime(&version.runtime_name);
    let mut events = sends_to_all(version).then(|| client.events());
    let mut whole = true;
    let mut checked_ns = None;
    loop {
        // Containers first: whatever is listed then has its sandbox in the list that is asked for later.
        let containers = client.containers().await?;
        let sandboxes = client.sandboxes().await?;
        let listed_ns = clock::boot_ns();
        if checked_ns.is_none_or(|checked_ns| listed_ns >= checked_ns + nanoseconds(CHECK)) {
            known.retry();
            checked_ns = Some(listed_ns);
        }
        let size = containers.items.len() + sandboxes.items.len();
        let stretch = u32::try_from(size.div_ceil(SMALL).max(1)).unwrap_or(u32::MAX);
        for fact in known.update(containers, sandboxes, whole) {
            voice.teller.fact(Origin::Cri, fact)?;
        }
        whole = false;
        let every = if events.is_some() { CHECK } else { POLL };
        let due_ns = listed_ns + nanoseconds(every.saturating_mul(stretch));
        if ask(client, known, voice, |now_ns| {
            is_due(events.as_ref(), now_ns, due_ns)
        })
        .await?
        {
            voice.health.set(None)?;
            voice.worked = true;
            let (refused, silent) = known.gaps();
            voice.gaps.set(gaps(voice.name, refused, silent))?;
        }
        wait(&mut events, due_ns, stretch, voice.teller).await?;
    }
}

/// Whether subscribing takes events away from nobody: containerd before 2.0 and older CRI-O hand each event to one
/// subscriber only, and that must stay kubelet.
fn sends_to_all(version: &Version) -> bool {
    let number = version.runtime_version.trim_start_matches('v');
    let mut parts = number
        .split(['.', '-', '+', '~'])
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let number = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    match version.runtime_name.as_str() {
        "containerd" => number >= (2, 0),
        "cri-o" => number >= (1, 30),
        _ => false,
    }
}

fn is_due(events: Option<&Events>, now_ns: u64, due_ns: u64) -> bool {
    now_ns >= due_ns || events.is_some_and(Events::are_waiting)
}

/// Asks for statuses, until there is none left (true) or it is time to list again.
async fn ask(
    client: &Client,
    known: &mut Known,
    voice: &Voice<'_>,
    is_due: impl Fn(u64) -> bool,
) -> Result<bool, End> {
    loop {
        let asks = known.asks(BATCH);
        if asks.is_empty() {
            return Ok(true);
        }
        let answers = gather(client, asks).await?;
        let silent = answers
            .iter()
            .filter(|answer| matches!(answer, Answer::Nothing(_, true)))
            .count();
        for fact in answers.into_iter().filter_map(|answer| known.learn(answer)) {
            voice.teller.fact(Origin::Cri, fact)?;
        }
        if silent >= AT_ONCE {
            known.rest();
        } else if is_due(clock::boot_ns()) {
            return Ok(false);
        }
        if voice.teller.is_over() {
            return Err(End::Over(Over));
        }
    }
}

/// Asks [`AT_ONCE`] at a time. After as many without answer, the rest is not asked.
async fn gather(client: &Client, asks: Vec<Ask>) -> Result<Vec<Answer>, Trouble> {
    let mut answers = Vec::with_capacity(asks.len());
    let mut asks = asks.into_iter();
    let mut running = JoinSet::new();
    let mut silent = 0;
    loop {
        while running.len() < AT_ONCE
            && silent < AT_ONCE
            && let Some(ask) = asks.next()
        {
            let client = client.clone();
            running.spawn(async move { status(&client, ask).await });
        }
        let Some(joined) = running.join_next().await else {
            break;
        };
        // A task that panicked or was cancelled has no answer; nothing here does either.
        let Ok(answer) = joined else { continue };
        let answer = answer?;
        silent += usize::from(matches!(answer, Answer::Nothing(_, true)));
        answers.push(answer);
    }
    answers.extend(asks.map(|ask| Answer::Nothing(ask, true)));
    Ok(answers)
}

async fn status(client: &Client, ask: Ask) -> Result<Answer, Trouble> {
    let asked = match &ask {
        Ask::Sandbox(id, uid) => client.sandbox_status(id.clone()).await.map(|answer| {
            let network = facts::network(&answer.status.unwrap_or_default());
            Answer::Sandbox(id.clone(), uid.clone(), network)
        }),
        Ask::Container(id) => {
            let answer = client.container_status(id.clone()).await;
            answer.map(|answer| Answer::Container(id.clone(), facts::pid(&answer)))
        }
    };
    match asked {
        Ok(answer) => Ok(answer),
        Err(Trouble::Missing { .. }) => Ok(Answer::Nothing(ask, false)),
        Err(Trouble::Silent { .. } | Trouble::Refused { .. } | Trouble::Unknown { .. }) => {
            Ok(Answer::Nothing(ask, true))
        }
        Err(trouble @ (Trouble::Lost { .. } | Trouble::Connect { .. })) => Err(trouble),
    }
}

/// Waits for an event or the time to list again.
async fn wait(events: &mut Option<Events>, due_ns: u64, stretch: u32, teller: &Teller) -> Result<(), End> {
    loop {
        if teller.is_over() {
            return Err(End::Over(Over));
        }
        let left = Duration::from_nanos(due_ns.saturating_sub(clock::boot_ns()));
        if left.is_zero() {
            return Ok(());
        }
        let step = left.min(STEP);
        let Some(subscribed) = events else {
            sleep(step).await;
            continue;
        };
        match timeout(step, subscribed.next()).await {
            Ok(Some(())) => {
                sleep(GATHER.saturating_mul(stretch).min(POLL)).await;
                return Ok(());
            }
            // No events here, or no more: poll.
            Ok(None) => {
                if let Some(ended) = events.take() {
                    ended.end().await?;
                }
                return Ok(());
            }
            Err(_elapsed) => {}
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_only_where_kubelet_gets_them_too() {
        let table = [
            ("containerd", "2.1.9+unknown", true),
            ("containerd", "v2.0.0", true),
            ("containerd", "1.7.27", false),
            ("containerd", "1.6.20~ds1", false),
            ("containerd", "", false),
            ("cri-o", "1.31.0", true),
            ("cri-o", "1.29.3-dev", false),
            ("docker", "28.0.1", false),
            ("", "99999999999999999999.1", false),
        ];
        for (name, number, wanted) in table {
            let version = Version {
                runtime_name: name.to_owned(),
                runtime_version: number.to_owned(),
            };
            assert_eq!(sends_to_all(&version), wanted, "{name} {number}");
        }
    }
}
