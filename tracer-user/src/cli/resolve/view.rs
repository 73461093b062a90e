//! From a view's flags to a [`View`].

use std::time::Duration;

use super::usage;
use crate::{
    cli::{
        args::filter::GraphFilterArgs,
        command::ReplayView,
        format::Check,
        request::View,
        views::{
            ComponentsArgs, ConnectionsArgs, EventsArgs, ExplainArgs, GraphArgs, ListenersArgs, VerifyArgs,
        },
    },
    output::filter::Filter,
};

impl From<GraphFilterArgs> for Filter {
    fn from(args: GraphFilterArgs) -> Self {
        let mut filter = args.ends.filter();
        args.directions.add_to(&mut filter);
        args.netns.add_to(&mut filter);
        filter
    }
}

impl From<EventsArgs> for View {
    fn from(args: EventsArgs) -> Self {
        let mut filter = Filter::from(args.filters);
        args.from_port.add_to(&mut filter);
        Self::Events {
            format: args.output,
            filter,
        }
    }
}

/// `forget_after` goes with `watch`.
pub(super) fn graph(args: GraphArgs, watch: bool, forget_after: Option<Duration>) -> View {
    View::Graph {
        format: args.output,
        filter: args.filters.into(),
        active: args.active,
        watch,
        forget_after,
        group_by: args.group_by,
    }
}

impl From<ListenersArgs> for View {
    fn from(args: ListenersArgs) -> Self {
        let mut filter = args.ends.filter();
        args.netns.add_to(&mut filter);
        filter.either.components.extend(args.name);
        Self::Listeners {
            format: args.output,
            filter,
        }
    }
}

impl From<ConnectionsArgs> for View {
    fn from(args: ConnectionsArgs) -> Self {
        let mut filter = Filter::from(args.filters);
        args.from_port.add_to(&mut filter);
        filter.either.components.extend(args.name);
        Self::Connections {
            format: args.output,
            filter,
            count: args.count,
        }
    }
}

impl From<ComponentsArgs> for View {
    fn from(args: ComponentsArgs) -> Self {
        Self::Components {
            format: args.output,
            filter: args.ends.filter(),
        }
    }
}

impl From<ExplainArgs> for View {
    fn from(args: ExplainArgs) -> Self {
        Self::Explain {
            question: args.question,
            format: args.output,
        }
    }
}

pub(super) fn verify(args: VerifyArgs) -> Result<View, clap::Error> {
    let VerifyArgs {
        mut checks,
        allow,
        output,
    } = args;
    if checks.is_empty() {
        checks = vec![Check::ApiserverEtcd, Check::EtcdClients];
    }
    checks.sort_unstable();
    checks.dedup();
    if !allow.is_empty() && !checks.contains(&Check::EtcdClients) {
        return Err(usage(
            "--allow is for the check etcd-clients: add it, or leave --allow out",
        ));
    }
    Ok(View::Verify {
        checks,
        allow,
        format: output,
    })
}

pub(super) fn replayed(view: ReplayView) -> Result<View, clap::Error> {
    Ok(match view {
        ReplayView::Events(args) => args.into(),
        ReplayView::Graph(args) => graph(args, false, None),
        ReplayView::Listeners(args) => args.into(),
        ReplayView::Connections(args) => args.into(),
        ReplayView::Components(args) => args.into(),
        ReplayView::Explain(args) => args.into(),
        ReplayView::Verify(args) => verify(args)?,
    })
}
