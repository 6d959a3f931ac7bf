//! What users read: help texts, answers and errors, as they stand in `tests/cmd`. After a change that is meant, run it
//! with `TRYCMD=overwrite` and look at the difference.

#[test]
fn what_users_read() {
    trycmd::TestCases::new()
        // Whatever the shell of whoever runs this is set up for.
        .env("STEAD_STORE", "")
        .env("STEAD_BACKUP_REPO", "")
        .case("tests/cmd/*.trycmd")
        .case("tests/cmd/*.toml");
}
