//! A suite that has never failed proves nothing: every planted fault must be caught, and the store without one must
//! pass everything.
//!
//! Each fault is a test. At the end a table says what caught it: the first named case that failed, the model, the
//! histories.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use parking_lot::Mutex;
use stead_conformance::oracle::{Effort, Stand, check_histories, check_model};
use stead_conformance::reference::{Data, Fault, Options, Reference};
use stead_conformance::{Offers, OpenOptions, Place, Subject, Verdict, verdicts};
use stead_core::{Backend, Capabilities, Extent, ManualClock, Reply};

/// What is due comes at once or never, however busy this machine is; the sweeper runs each 20 milliseconds.
const PATIENCE: Duration = Duration::from_secs(8);

/// Whom a case is run on: a reference store that is set up in some way.
struct Planted {
    name: String,
    options: Options,
    patience: Duration,
    stores: Mutex<HashMap<String, Arc<Data>>>,
}

impl Planted {
    fn subject(name: impl Into<String>, options: Options, patience: Duration) -> Arc<dyn Subject> {
        Arc::new(Planted {
            name: name.into(),
            options,
            patience,
            stores: Mutex::default(),
        })
    }
}

impl Subject for Planted {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn capabilities(&self) -> Capabilities {
        self.options.capabilities().clone()
    }

    fn open<'a>(&'a self, place: &'a Place, wanted: &'a OpenOptions) -> Reply<'a, Arc<dyn Backend>> {
        let mut options = self
            .options
            .clone()
            .with_log_sets(wanted.change_retention)
            .with_sweep_interval(wanted.sweep_interval);
        if let Some(limits) = wanted.limits {
            options = options.declaring(|declared| declared.limits = limits);
        }
        if let Some(capacity) = wanted.capacity_entries {
            options = options.with_capacity_entries(capacity);
        }
        if wanted.read_only {
            options = options.declaring(|declared| declared.writable = false);
        }
        let data = Arc::clone(self.stores.lock().entry(place.name().to_owned()).or_default());
        Reply::ready(Arc::new(Reference::reopen(
            &data,
            Arc::clone(&wanted.clock),
            options,
        )))
    }

    fn offers(&self) -> Offers {
        Offers::all()
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    fn remove(&self, place: &Place) {
        self.stores.lock().remove(place.name());
    }
}

/// What caught a fault.
#[derive(Clone, Debug, Default)]
struct Caught {
    case: Option<String>,
    model: bool,
    history: bool,
}

type Table = Arc<Mutex<BTreeMap<Fault, Caught>>>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Cases wait more than they work.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    let table = Table::default();
    let mut trials = vec![
        Trial::test("no_fault::everything_declared", || {
            passes_everything(&Options::default())
        }),
        Trial::test("no_fault::little_declared", || {
            passes_everything(&little_declared())
        }),
    ];
    for fault in Fault::ALL {
        let table = Arc::clone(&table);
        trials.push(Trial::test(format!("caught::{fault}"), move || {
            is_caught(*fault, &table)
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    print(&table.lock());
    conclusion.exit_code()
}

fn little_declared() -> Options {
    Options::default().declaring(|declared| {
        declared.atomicity = Extent::Partition;
        declared.revision_order = Extent::Partition;
        declared.persistent = false;
        declared.ttl = false;
        declared.range_preconditions = false;
        declared.reverse_scans = false;
        declared.snapshots = false;
        declared.watch = false;
        declared.request_ids = false;
    })
}

fn passes_everything(options: &Options) -> Result<(), Failed> {
    for (name, verdict) in verdicts(&Planted::subject("reference", options.clone(), PATIENCE), |_| {
        true
    }) {
        if let Verdict::Failed(message) = verdict {
            return Err(Failed::from(format!("{name}: {message}")));
        }
    }
    model_agrees(options)?;
    histories_fit(options)?;
    Ok(())
}

fn is_caught(fault: Fault, table: &Table) -> Result<(), Failed> {
    let options = planted(fault);
    let subject = Planted::subject(fault.to_string(), options.clone(), PATIENCE / 8);
    let caught = Caught {
        case: first_failure(&subject),
        model: model_agrees(&options).is_err(),
        history: histories_fit(&options).is_err(),
    };
    table.lock().insert(fault, caught.clone());
    if caught.case.is_none() && !caught.model && !caught.history {
        return Err(Failed::from("nothing caught it"));
    }
    Ok(())
}

/// A store with `fault`, that declares what the fault needs to show.
fn planted(fault: Fault) -> Options {
    let base = match fault {
        Fault::UndeclaredAccepted => little_declared(),
        _ => Options::default(),
    };
    base.with_fault(fault)
}

/// The first named case that fails, and no more: a store with a fault may make the others wait.
fn first_failure(subject: &Arc<dyn Subject>) -> Option<String> {
    let names = RefCell::new(Vec::new());
    verdicts(subject, |name| {
        // The oracles have columns of their own.
        if !name.starts_with("oracles::") {
            names.borrow_mut().push(name.to_owned());
        }
        false
    });
    // A store with a fault is also slow at times: running out of time proves nothing.
    let is_proof =
        |verdict: &Verdict| matches!(verdict, Verdict::Failed(why) if !why.contains("did not end within"));
    let failed = |name: &String| {
        let ended = verdicts(subject, |one| one == name);
        ended.iter().any(|(_, verdict)| is_proof(verdict))
    };
    names.into_inner().into_iter().find(failed)
}

fn model_agrees(options: &Options) -> Result<(), String> {
    let effort = Effort::default()
        .with_cases(300)
        .with_patience(Duration::from_millis(100))
        .with_shrinks(0);
    let options = options.clone().with_log_sets(12);
    check_model(&|clock| Ok(on_demand(&options, clock)), &effort)
}

fn histories_fit(options: &Options) -> Result<(), String> {
    let effort = Effort::default().with_cases(60);
    let open = |clock: Arc<ManualClock>| Ok(Stand::new(Arc::new(Reference::open(clock, options.clone()))));
    check_histories(&open, &effort)
}

/// A store that sweeps on demand and can be opened again.
fn on_demand(options: &Options, clock: Arc<ManualClock>) -> Stand {
    let open = Arc::new(Reference::open(Arc::clone(&clock) as Arc<_>, options.clone()));
    let current = Arc::new(Mutex::new(Arc::clone(&open)));
    let (to_reopen, options) = (Arc::clone(&current), options.clone());
    Stand::new(open as Arc<dyn Backend>)
        .with_reopen(move || {
            let mut current = to_reopen.lock();
            let clock = Arc::clone(&clock) as Arc<_>;
            *current = Arc::new(Reference::reopen(current.data(), clock, options.clone()));
            Ok(Arc::clone(&*current) as Arc<dyn Backend>)
        })
        .with_sweep(move || current.lock().sweep().map(drop))
}

fn print(table: &BTreeMap<Fault, Caught>) {
    if table.is_empty() {
        return;
    }
    let mark = |caught: bool| if caught { "caught" } else { "-" };
    let width = table.keys().map(|fault| fault.to_string().len()).max().unwrap();
    println!(
        "{:width$}  {:8}  {:9}  first case",
        "planted fault", "model", "histories"
    );
    for (fault, caught) in table {
        let case = caught.case.as_deref().unwrap_or("-");
        let (model, history) = (mark(caught.model), mark(caught.history));
        println!("{:width$}  {model:8}  {history:9}  {case}", fault.to_string());
    }
}
