//! Scopes: their text form, where their keys lie, and that they keep apart.

mod common;

use std::collections::BTreeSet;

use common::{clock, manager, memory, reference, two_homes};
use proptest::prelude::*;
use serde_json::json;
use stead_core::{BackendExt, ErrorKind, Key, Partition};
use stead_state::{ListOptions, StateClass, StateManager, StateScope, decode_key, encode_key};

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        "[%/:a\\\\\n\u{7f}\u{85}ö🙂 ]{1,6}",
        proptest::string::string_regex("[^\u{0}]{1,10}").expect("a regex"),
    ]
}

fn scope() -> impl Strategy<Value = StateScope> {
    prop_oneof![
        Just(StateScope::Global),
        id().prop_map(StateScope::User),
        id().prop_map(StateScope::Session),
        id().prop_map(StateScope::Agent),
        id().prop_map(StateScope::Workflow),
        id().prop_map(StateScope::Tool),
        id().prop_map(StateScope::Hook),
        (id(), id()).prop_map(|(workflow, step)| StateScope::step(workflow, step)),
        (id(), id()).prop_map(|(kind, id)| StateScope::custom(kind, id)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_text_form_reads_back(scope in scope()) {
        let text = scope.to_string();
        prop_assert!(!text.chars().any(char::is_control), "{:?}", text);
        prop_assert_eq!(text.parse::<StateScope>().unwrap(), scope);
    }

    #[test]
    fn no_two_scopes_share_a_text_or_a_key(one in scope(), two in scope(), k1 in id(), k2 in id()) {
        prop_assert_eq!(one == two, one.to_string() == two.to_string());
        let (a, b) = (encode_key(&one, &k1).unwrap(), encode_key(&two, &k2).unwrap());
        prop_assert_eq!(a == b, one == two && k1 == k2);
        prop_assert_eq!(decode_key(&a).unwrap(), (one, k1));
    }

    #[test]
    fn keys_of_a_scope_sort_as_their_text(scope in scope(), k1 in id(), k2 in id()) {
        let (a, b) = (encode_key(&scope, &k1).unwrap(), encode_key(&scope, &k2).unwrap());
        prop_assert_eq!(a.cmp(&b), k1.as_bytes().cmp(k2.as_bytes()));
    }

    #[test]
    fn reading_any_text_or_key_never_panics(text in any::<String>(), path in any::<Vec<u8>>()) {
        if let Ok(scope) = text.parse::<StateScope>() {
            prop_assert_eq!(scope.to_string().parse::<StateScope>().unwrap(), scope);
        }
        if let Ok(partition) = Partition::new(&text)
            && let Ok(key) = Key::new(&partition, &path)
            && let Ok((scope, name)) = decode_key(&key)
        {
            prop_assert_eq!(encode_key(&scope, &name).unwrap(), key);
        }
    }
}

#[test]
fn text_forms_are_the_documented_ones() {
    for (scope, text) in [
        (StateScope::Global, "global"),
        (StateScope::agent("planner"), "agent:planner"),
        (StateScope::agent("a/b:c"), "agent:a/b:c"),
        (StateScope::user("50%\n"), "user:50%25%0A"),
        (StateScope::step("flow1", "parse"), "step:flow1/parse"),
        (StateScope::custom("a:b", "c/d"), "custom:a:b/c%2Fd"),
    ] {
        assert_eq!(scope.to_string(), text);
        assert_eq!(text.parse::<StateScope>().unwrap(), scope);
    }
    assert_eq!("agent:%41".parse::<StateScope>().unwrap(), StateScope::agent("A"));
}

#[test]
fn texts_that_are_no_scope_say_what_is_wrong() {
    for (text, part) in [
        ("", "no id"),
        ("agent", "no id"),
        ("agent:", "empty"),
        ("alien:x", "unknown kind"),
        ("step:flow1", "two parts"),
        ("step:flow1/", "empty"),
        ("step:/parse", "empty"),
        ("custom:a/b/c", "%2F"),
        ("user:%4", "broken escape"),
        ("user:%zz", "broken escape"),
        ("user:%ff", "UTF-8"),
        ("user:%00", "NUL"),
        ("global:x", "unknown kind"),
    ] {
        let error = text.parse::<StateScope>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        assert!(error.to_string().contains(part), "{text}: {error}");
    }
}

#[tokio::test]
async fn ids_that_cannot_be_are_refused_with_their_name_and_the_limit() {
    let manager = manager();
    for (scope, part) in [
        (StateScope::agent(""), "argument=agent"),
        (StateScope::user("a\0"), "argument=user position=1"),
        (StateScope::step("", "s"), "argument=workflow"),
        (StateScope::step("w", ""), "argument=step"),
        (
            StateScope::step("w", "s".repeat(256)),
            "argument=step length_bytes=256 limit_bytes=255",
        ),
        (StateScope::custom("", "x"), "argument=kind"),
        (
            StateScope::agent("x".repeat(250)),
            "argument=agent length_bytes=256 limit_bytes=255",
        ),
        (StateScope::tool("\n".repeat(100)), "length_bytes=305"),
    ] {
        let error = manager.set(&scope, "k", &1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(part), "{error}");
        assert!(manager.scope(&scope).is_err());
        assert!(manager.count(&scope).await.is_err());
    }
    let longest = StateScope::agent("x".repeat(249));
    manager.set(&longest, "k", &1).await.unwrap();
    assert_eq!(manager.scopes(None, 10).await.unwrap(), [longest]);
    let longest_step = StateScope::step("w", "s".repeat(255));
    manager.set(&longest_step, &"k".repeat(767), &1).await.unwrap();
    let error = manager
        .set(&longest_step, &"k".repeat(768), &1)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("limit_bytes=767"), "{error}");
}

#[tokio::test]
async fn scopes_that_look_alike_keep_apart() {
    let manager = manager();
    let scopes = [
        StateScope::Global,
        StateScope::agent("1"),
        StateScope::agent("10"),
        StateScope::agent("global"),
        StateScope::user("1"),
        StateScope::custom("a:b", "c"),
        StateScope::custom("a", "b:c"),
        StateScope::custom("agent", "1"),
        StateScope::workflow("w"),
        StateScope::workflow("w/s"),
        StateScope::step("w", "s"),
        StateScope::step("w", "s2"),
    ];
    for (number, scope) in scopes.iter().enumerate() {
        manager.set(scope, "k", &number).await.unwrap();
    }
    for (number, scope) in scopes.iter().enumerate() {
        assert_eq!(
            manager.get(scope, "k").await.unwrap(),
            Some(json!(number)),
            "{scope}"
        );
        assert_eq!(manager.list_keys(scope).await.unwrap(), ["k"], "{scope}");
    }
    for (number, scope) in scopes.iter().enumerate() {
        assert_eq!(manager.clear_scope(scope).await.unwrap(), 1, "{scope}");
        for (other, scope) in scopes.iter().enumerate() {
            assert_eq!(
                manager.exists(scope, "k").await.unwrap(),
                other > number,
                "{scope}"
            );
        }
    }
}

#[tokio::test]
async fn custom_scopes_and_keys_with_colons_never_meet() {
    let manager = manager();
    manager
        .set(StateScope::custom("a:b", "x"), "c", &1)
        .await
        .unwrap();
    assert_eq!(
        manager.get(StateScope::custom("a", "x"), "b:c").await.unwrap(),
        None
    );
    manager
        .set(StateScope::workflow("w"), "s\u{1}k", &1)
        .await
        .unwrap();
    assert_eq!(manager.get(StateScope::step("w", "s"), "k").await.unwrap(), None);
}

#[tokio::test]
async fn scopes_are_listed_in_pages_and_foreign_entries_are_not() {
    let clock = clock();
    let store = memory(&clock);
    let manager = StateManager::new(std::sync::Arc::clone(&store));
    let mut scopes = vec![
        StateScope::workflow("w"),
        StateScope::step("w", "a"),
        StateScope::step("w", "ab"),
        StateScope::step("x", "only a step"),
        StateScope::Global,
    ];
    scopes.extend((0..20).map(|n| StateScope::agent(n.to_string())));
    for scope in &scopes {
        for key in ["k1", "k2", "\u{10ffff}"] {
            manager.set(scope, key, &1).await.unwrap();
        }
    }
    for foreign in ["agent:%41", "sys", "\u{1}", "tool"] {
        // What only the one way to write a scope's name tells from a key of agent:A.
        let key = Key::new(&Partition::new(foreign).unwrap(), "\u{1}x").unwrap();
        assert_eq!(decode_key(&key).unwrap_err().kind(), ErrorKind::Corrupt);
        store.put(key, "x").await.unwrap();
    }
    let all = manager.scopes(None, 1_000).await.unwrap();
    assert_eq!(all.iter().collect::<BTreeSet<_>>(), scopes.iter().collect());
    assert_eq!(all.len(), scopes.len());
    let mut paged = Vec::new();
    while let Some(last) = {
        let page = manager.scopes(paged.last(), 3).await.unwrap();
        paged.extend(page);
        (paged.len() < all.len()).then_some(())
    } {
        let () = last;
    }
    assert_eq!(paged, all);
    assert!(manager.scopes(all.last(), 3).await.unwrap().is_empty());
    assert!(manager.scopes(None, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn scopes_with_ephemeral_values_are_listed_once() {
    let (manager, ..) = two_homes(&clock());
    for (scope, class) in [
        (StateScope::agent("both"), StateClass::Standard),
        (StateScope::agent("passing"), StateClass::Ephemeral),
    ] {
        manager.set_with_class(&scope, "k", &1, class).await.unwrap();
    }
    manager
        .set_with_class(StateScope::agent("both"), "e", &1, StateClass::Ephemeral)
        .await
        .unwrap();
    let scopes = manager.scopes(None, 10).await.unwrap();
    assert_eq!(scopes, [StateScope::agent("both"), StateScope::agent("passing")]);
}

#[tokio::test]
async fn lists_are_cut_to_prefix_place_and_limit_in_both_directions() {
    let manager = manager();
    let scope = manager.scope(StateScope::session("s")).unwrap();
    let keys: Vec<String> = (0..1_500).map(|n| format!("note/{n:04}")).collect();
    scope.set_many(keys.iter().map(|key| (key, 1))).await.unwrap();
    scope.set("note", &1).await.unwrap();
    scope.set("notes", &1).await.unwrap();
    let under = ListOptions::default().with_prefix("note/");
    assert_eq!(scope.list_keys_with(&under).await.unwrap(), keys);
    assert_eq!(scope.count().await.unwrap(), 1_502);
    for direction in [stead_core::Direction::Forward, stead_core::Direction::Reverse] {
        let mut expected = keys.clone();
        if direction == stead_core::Direction::Reverse {
            expected.reverse();
        }
        let mut paged: Vec<String> = Vec::new();
        loop {
            let mut options = under.clone().with_direction(direction).with_limit(700);
            if let Some(last) = paged.last() {
                options = options.with_after(last);
            }
            let page = scope.list_keys_with(&options).await.unwrap();
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, expected);
    }
    assert!(
        scope
            .list_keys_with(&under.clone().with_limit(0))
            .await
            .unwrap()
            .is_empty()
    );
    let entries = scope.list(&under.clone().with_limit(2)).await.unwrap();
    assert_eq!(
        entries
            .iter()
            .map(stead_state::StateEntry::key)
            .collect::<Vec<_>>(),
        ["note/0000", "note/0001"]
    );
    assert_eq!(entries[0].value().unwrap(), json!(1));
    assert!(
        scope
            .list_keys_with(&ListOptions::default().with_prefix("a\0"))
            .await
            .is_err()
    );
    assert!(
        scope
            .list_keys_with(&ListOptions::default().with_prefix("a".repeat(2_000)))
            .await
            .is_err()
    );
    assert!(
        scope
            .list_keys_with(&ListOptions::default().with_after(""))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_scope_is_cleared_in_batches_that_the_store_accepts() {
    let manager = StateManager::new(reference(|c| c.limits.batch_operations = 10));
    for n in 0..25 {
        manager.set(StateScope::Global, &n.to_string(), &n).await.unwrap();
    }
    manager.set(StateScope::agent("other"), "k", &1).await.unwrap();
    assert_eq!(manager.clear_scope(StateScope::Global).await.unwrap(), 25);
    assert_eq!(manager.count(StateScope::Global).await.unwrap(), 0);
    assert_eq!(manager.count(StateScope::agent("other")).await.unwrap(), 1);
    assert_eq!(manager.clear_scope(StateScope::Global).await.unwrap(), 0);
}
