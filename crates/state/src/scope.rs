//! Who a piece of state belongs to.

use std::fmt;
use std::str::FromStr;

use smallvec::SmallVec;
use stead_core::{Error, Partition, Result};

/// Who a piece of state belongs to. The same key in two scopes is two values.
///
/// The text form is `global`, `agent:planner`, `step:flow1/parse`, `custom:kind/id`. In an id, `%` and control
/// characters are written as `%` and two hexadecimal digits for each byte; in scopes of two parts `/` is, too. So the
/// text form is injective and reads back as the scope it came from.
///
/// ```
/// use stead_state::StateScope;
///
/// let step = StateScope::step("flow 1", "parse/head");
/// assert_eq!(step.to_string(), "step:flow 1/parse%2Fhead");
/// assert_eq!("step:flow 1/parse%2Fhead".parse::<StateScope>()?, step);
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum StateScope {
    /// The one scope that everybody shares.
    Global,
    /// A user.
    User(String),
    /// A session.
    Session(String),
    /// An agent.
    Agent(String),
    /// A workflow.
    Workflow(String),
    /// A step of a workflow. Shares the workflow's partition, so that one batch can change both on every backend; its
    /// keys are its own all the same.
    Step {
        /// The workflow's id.
        workflow: String,
        /// The step's id: at most [`StateScope::MAX_STEP_BYTES`] bytes.
        step: String,
    },
    /// A tool.
    Tool(String),
    /// A hook.
    Hook(String),
    /// Anything else.
    Custom {
        /// What it is.
        kind: String,
        /// Which one.
        id: String,
    },
}

impl StateScope {
    /// The longest id of a step in bytes.
    pub const MAX_STEP_BYTES: usize = 255;

    /// The scope of the user `id`.
    pub fn user(id: impl Into<String>) -> Self {
        StateScope::User(id.into())
    }

    /// The scope of the session `id`.
    pub fn session(id: impl Into<String>) -> Self {
        StateScope::Session(id.into())
    }

    /// The scope of the agent `id`.
    pub fn agent(id: impl Into<String>) -> Self {
        StateScope::Agent(id.into())
    }

    /// The scope of the workflow `id`.
    pub fn workflow(id: impl Into<String>) -> Self {
        StateScope::Workflow(id.into())
    }

    /// The scope of one step of a workflow.
    pub fn step(workflow: impl Into<String>, step: impl Into<String>) -> Self {
        StateScope::Step {
            workflow: workflow.into(),
            step: step.into(),
        }
    }

    /// The scope of the tool `id`.
    pub fn tool(id: impl Into<String>) -> Self {
        StateScope::Tool(id.into())
    }

    /// The scope of the hook `id`.
    pub fn hook(id: impl Into<String>) -> Self {
        StateScope::Hook(id.into())
    }

    /// A scope of a kind of your own.
    pub fn custom(kind: impl Into<String>, id: impl Into<String>) -> Self {
        StateScope::Custom {
            kind: kind.into(),
            id: id.into(),
        }
    }

    /// Checks the ids and their lengths. Every operation does this for itself.
    ///
    /// # Errors
    ///
    /// `Invalid`, naming the argument: an id is empty or holds a NUL byte, the encoded scope is longer than
    /// [`Partition::MAX_BYTES`], or the id of a step is longer than [`StateScope::MAX_STEP_BYTES`].
    pub fn validate(&self) -> Result<()> {
        self.partition().map(|_| ())
    }

    /// The partition that the scope's state lives in: its text form, or that of its workflow for a step.
    ///
    /// # Errors
    ///
    /// As [`validate`](StateScope::validate).
    pub fn partition(&self) -> Result<Partition> {
        let mut text = Text::default();
        match self.parts() {
            Parts::None => text.push(self.kind()),
            Parts::One(id) => {
                check_id(self.kind(), id)?;
                text.push(self.kind());
                text.push(":");
                text.push_id(&Escaped::one(id))?;
            }
            Parts::Two([(first_name, first), (second_name, second)]) => {
                check_id(first_name, first)?;
                check_id(second_name, second)?;
                if matches!(self, StateScope::Step { .. }) {
                    check_step(second)?;
                    text.push("workflow:");
                    text.push_id(&Escaped::one(first))?;
                } else {
                    text.push(self.kind());
                    text.push(":");
                    text.push_id(&Escaped::two(first))?;
                    text.push("/");
                    text.push_id(&Escaped::two(second))?;
                }
            }
        }
        text.into_partition(self.kind())
    }

    /// The word in front of the colon.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            StateScope::Global => "global",
            StateScope::User(_) => "user",
            StateScope::Session(_) => "session",
            StateScope::Agent(_) => "agent",
            StateScope::Workflow(_) => "workflow",
            StateScope::Step { .. } => "step",
            StateScope::Tool(_) => "tool",
            StateScope::Hook(_) => "hook",
            StateScope::Custom { .. } => "custom",
        }
    }

    fn parts(&self) -> Parts<'_> {
        match self {
            StateScope::Global => Parts::None,
            StateScope::User(id)
            | StateScope::Session(id)
            | StateScope::Agent(id)
            | StateScope::Workflow(id)
            | StateScope::Tool(id)
            | StateScope::Hook(id) => Parts::One(id),
            StateScope::Step { workflow, step } => Parts::Two([("workflow", workflow), ("step", step)]),
            StateScope::Custom { kind, id } => Parts::Two([("kind", kind), ("id", id)]),
        }
    }
}

/// The ids of a scope; two of them with the name of the argument.
enum Parts<'a> {
    None,
    One(&'a str),
    Two([(&'static str, &'a str); 2]),
}

fn check_id(argument: &'static str, id: &str) -> Result<()> {
    if id.is_empty() {
        return Err(Error::invalid("scope id is empty; give it at least one byte").with("argument", argument));
    }
    if let Some(position) = id.bytes().position(|byte| byte == 0) {
        return Err(Error::invalid("scope id holds a NUL byte")
            .with("argument", argument)
            .with("position", position));
    }
    Ok(())
}

fn check_step(step: &str) -> Result<()> {
    if step.len() > StateScope::MAX_STEP_BYTES {
        return Err(Error::invalid("step id is longer than the limit")
            .with("argument", "step")
            .with("length_bytes", step.len())
            .with("limit_bytes", StateScope::MAX_STEP_BYTES));
    }
    Ok(())
}

/// Text that becomes a partition, put together without an allocation unless it is unusually long.
#[derive(Default)]
struct Text(SmallVec<[u8; 64]>);

impl Text {
    fn push(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn push_id(&mut self, id: &Escaped<'_>) -> Result<()> {
        id.write_to(self)
            .map_err(|_| Error::internal("a scope could not be written as text"))
    }

    fn into_partition(self, argument: &'static str) -> Result<Partition> {
        if self.0.len() > Partition::MAX_BYTES {
            return Err(Error::invalid(
                "scope is longer than the limit; escaped characters count three bytes each",
            )
            .with("argument", argument)
            .with("length_bytes", self.0.len())
            .with("limit_bytes", Partition::MAX_BYTES));
        }
        Partition::new(&self.0)
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

/// An id with what would be ambiguous written as `%` and two digits.
struct Escaped<'a> {
    id: &'a str,
    slash: bool,
}

impl<'a> Escaped<'a> {
    /// In a scope of one part, where a slash means nothing.
    fn one(id: &'a str) -> Self {
        Escaped { id, slash: false }
    }

    /// In a scope of two parts, which a slash separates.
    fn two(id: &'a str) -> Self {
        Escaped { id, slash: true }
    }

    fn is_escaped(&self, c: char) -> bool {
        c == '%' || c.is_control() || (self.slash && c == '/')
    }

    fn write_to(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let mut rest = self.id;
        while let Some(position) = rest.find(|c| self.is_escaped(c)) {
            out.write_str(&rest[..position])?;
            let c = rest[position..].chars().next().unwrap_or_default();
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                write!(out, "%{byte:02X}")?;
            }
            rest = &rest[position + c.len_utf8()..];
        }
        out.write_str(rest)
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

impl fmt::Display for StateScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self.parts() {
            Parts::None => f.write_str(kind),
            Parts::One(id) => write!(f, "{kind}:{}", Escaped::one(id)),
            Parts::Two([(_, first), (_, second)]) => {
                write!(f, "{kind}:{}/{}", Escaped::two(first), Escaped::two(second))
            }
        }
    }
}

impl From<&StateScope> for StateScope {
    fn from(scope: &StateScope) -> Self {
        scope.clone()
    }
}

impl FromStr for StateScope {
    type Err = Error;

    /// Reads the text form. An escape is accepted for any character, needed or not.
    ///
    /// # Errors
    ///
    /// `Invalid` for an unknown kind, a missing id, a broken escape, and as [`StateScope::validate`].
    fn from_str(text: &str) -> Result<Self> {
        let scope = parse(text).map_err(|error| error.with("scope", text.escape_debug()))?;
        scope.validate()?;
        Ok(scope)
    }
}

fn parse(text: &str) -> Result<StateScope> {
    if text == "global" {
        return Ok(StateScope::Global);
    }
    let Some((kind, ids)) = text.split_once(':') else {
        return Err(Error::invalid(
            "scope has no id; write it as `global` or `kind:id`, such as agent:planner",
        ));
    };
    let one: fn(String) -> StateScope = match kind {
        "user" => StateScope::User,
        "session" => StateScope::Session,
        "agent" => StateScope::Agent,
        "workflow" => StateScope::Workflow,
        "tool" => StateScope::Tool,
        "hook" => StateScope::Hook,
        "step" => {
            let (workflow, step) = two_ids(ids)?;
            return Ok(StateScope::Step { workflow, step });
        }
        "custom" => {
            let (kind, id) = two_ids(ids)?;
            return Ok(StateScope::Custom { kind, id });
        }
        _ => {
            return Err(Error::invalid(
                "unknown kind of scope; use global, user, session, agent, workflow, step, tool, hook or custom",
            ));
        }
    };
    unescape(ids).map(one)
}

fn two_ids(ids: &str) -> Result<(String, String)> {
    match ids.split_once('/') {
        Some((first, second)) if !second.contains('/') => Ok((unescape(first)?, unescape(second)?)),
        Some(_) => Err(Error::invalid(
            "scope has more than two parts; write a slash inside an id as %2F",
        )),
        None => Err(Error::invalid(
            "scope needs two parts, such as step:flow1/parse or custom:kind/id",
        )),
    }
}

fn unescape(id: &str) -> Result<String> {
    if !id.contains('%') {
        return Ok(id.to_owned());
    }
    let broken = || Error::invalid("broken escape in a scope; write % as %25");
    let mut bytes = Vec::with_capacity(id.len());
    let mut rest = id.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = rest.next().and_then(hex).ok_or_else(broken)?;
        let low = rest.next().and_then(hex).ok_or_else(broken)?;
        bytes.push(high << 4 | low);
    }
    String::from_utf8(bytes).map_err(|_| Error::invalid("the escapes in a scope are not valid UTF-8"))
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
