//! The public suite that every Stead backend and layer must pass.

pub mod oracle;
pub mod reference;
