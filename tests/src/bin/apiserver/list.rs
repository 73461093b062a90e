//! Lists, whole or page by page. All pages of a list show the objects of the same moment.

use crate::base64;
use crate::http::{Refusal, Request, Response};
use crate::object::{Object, set};
use crate::selector::Selector;
use crate::server::Server;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;

/// Paged lists that are remembered; the continue tokens of older ones have expired.
const MAX_LISTS: usize = 16;

/// Lists whose later pages may still be asked for.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    known: VecDeque<Listed>,
    next: u64,
}

/// The objects of a list at one moment.
#[derive(Clone, Debug)]
struct Listed {
    number: u64,
    version: u64,
    objects: Arc<Vec<Arc<Object>>>,
}

impl Lists {
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }

    fn find(&self, number: u64) -> Option<&Listed> {
        self.known.iter().find(|listed| listed.number == number)
    }

    fn remember(&mut self, listed: Listed) {
        self.known.push_back(listed);
        if self.known.len() > MAX_LISTS {
            self.known.pop_front();
        }
    }
}

/// Answers a list.
pub(crate) fn answer(server: &Server, selector: &Selector, request: &Request) -> Result<Response, Refusal> {
    let limit: usize = match request.parameter("limit") {
        "" | "0" => usize::MAX,
        text => text
            .parse()
            .map_err(|_unspecific| Refusal::bad_request("limit is no number"))?,
    };
    let (listed, begin) = match request.parameter("continue") {
        "" => (begin(server, selector, request)?, 0),
        token => resume(server, token)?,
    };
    let rest = listed.objects.get(begin..).unwrap_or_default();
    let (page, remaining) = rest.split_at(limit.min(rest.len()));
    let mut metadata = json!({"resourceVersion": listed.version.to_string()});
    if !remaining.is_empty() {
        let token = format!("{}:{}", listed.number, begin + page.len());
        set(&mut metadata, "continue", base64::encode(token.as_bytes()));
        if selector.is_whole() {
            set(&mut metadata, "remainingItemCount", remaining.len());
        }
        let mut lists = server.lists();
        if begin == 0 {
            lists.remember(listed.clone());
        }
    }
    let resource = selector.resource;
    let mut body = format!(
        r#"{{"kind":"{}List","apiVersion":"{}","metadata":{metadata},"items":["#,
        resource.kind,
        resource.api_version()
    );
    for (index, object) in page.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(object.item());
    }
    body.push_str("]}\n");
    Ok(Response::json(200, body))
}

/// The objects as they are now, unless the request asks for another moment.
fn begin(server: &Server, selector: &Selector, request: &Request) -> Result<Listed, Refusal> {
    let state = server.store.lock();
    let wanted = version(request)?;
    if wanted > state.version {
        let mut refusal = Refusal::new(
            504,
            "Timeout",
            format!("Too large resource version: {wanted}, current: {}", state.version),
        );
        refusal.cause = Some("ResourceVersionTooLarge");
        return Err(refusal);
    }
    if request.parameter("resourceVersionMatch") == "Exact" && wanted != state.version {
        return Err(expired(format!("the objects of version {wanted} are gone")));
    }
    let objects = state
        .objects
        .values()
        .filter(|object| selector.selects(object))
        .cloned()
        .collect();
    let mut lists = server.lists();
    lists.next += 1;
    Ok(Listed {
        number: lists.next,
        version: state.version,
        objects: Arc::new(objects),
    })
}

fn resume(server: &Server, token: &str) -> Result<(Listed, usize), Refusal> {
    let parsed = base64::decode(token)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| {
            let (number, begin) = text.split_once(':')?;
            Some((number.parse::<u64>().ok()?, begin.parse::<usize>().ok()?))
        });
    let (number, begin) = parsed.ok_or_else(|| Refusal::bad_request("continue key is not valid"))?;
    let lists = server.lists();
    let listed = lists.find(number).cloned().ok_or_else(|| {
        expired("The provided continue parameter is too old to display a consistent list result.")
    })?;
    Ok((listed, begin))
}

/// The version that a request names; 0 where it names none.
pub(crate) fn version(request: &Request) -> Result<u64, Refusal> {
    match request.parameter("resourceVersion") {
        "" => Ok(0),
        text => text
            .parse()
            .map_err(|_unspecific| Refusal::bad_request(format!("resourceVersion: Invalid value: {text:?}"))),
    }
}

/// What is no longer known.
pub(crate) fn expired(message: impl Into<String>) -> Refusal {
    Refusal::new(410, "Expired", message)
}
