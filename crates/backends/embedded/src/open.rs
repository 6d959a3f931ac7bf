//! Opening a store, and beginning one.

use std::ops::ControlFlow;
use std::sync::Arc;

use stead_core::{Direction, Error, Result, Revision};

use crate::format::{HEADER_KEY, Header};
use crate::planted::{forget_requests, planted};
use crate::shared::Shared;
use crate::view::{Held, read_header};
use crate::{EmbeddedOptions, Engine, Keyspace, View, WriteSet};

pub(crate) fn open<E: Engine>(engine: E, options: EmbeddedOptions) -> Result<Shared<E>> {
    let alive = Arc::new(());
    let view = engine.view()?;
    let found = match read_header(&view)? {
        Some(header) => Some(header),
        None => {
            check_empty(&view)?;
            None
        }
    };
    if options.read_only {
        let header = found.ok_or_else(|| {
            Error::invalid("there is no store here yet; open it once for writing to make one")
        })?;
        let held = held(view, header, &alive);
        return Ok(Shared::new(engine, held, alive, options));
    }
    drop(view);
    let mut header = found.unwrap_or_else(|| Header::new(options.random.next_u128()));
    // Whatever was handed out before a crash lies at or below the ceiling. After a clean close it is the revision itself.
    if !planted("revision-reused") {
        header.revision = header.ceiling;
    }
    let reserve = options.revision_reserve;
    header.ceiling = Revision::new(header.revision.get().saturating_add(reserve));
    let mut writes = WriteSet::new();
    forget_requests(&engine, &mut header, &mut writes)?;
    writes.put(Keyspace::Meta, HEADER_KEY.to_vec(), header.encode());
    engine.commit(&writes, true)?;
    let view = engine.view()?;
    let held = held(view, header, &alive);
    Ok(Shared::new(engine, held, alive, options))
}

fn held<V>(view: V, header: Header, alive: &Arc<()>) -> Held<V> {
    Held {
        view,
        header,
        _alive: Arc::clone(alive),
    }
}

/// A store is begun only where there is nothing at all.
fn check_empty<V: View>(view: &V) -> Result<()> {
    for space in Keyspace::ALL {
        let mut any = false;
        view.scan(space, &[], None, Direction::Forward, &mut |_, _| {
            any = true;
            ControlFlow::Break(())
        })?;
        if any {
            return Err(Error::corrupt(
                "there are records but no header: this is no stead store, or a damaged one",
            )
            .with("keyspace", space));
        }
    }
    Ok(())
}
