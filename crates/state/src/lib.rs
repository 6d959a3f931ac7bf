//! Typed state in scopes over any Stead backend.
