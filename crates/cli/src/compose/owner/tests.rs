//! Who gets a token, when, and what a file may hold.

use jobwright_store::MemoryStore;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;

async fn engine() -> Engine {
    Engine::builder().store(MemoryStore::new()).start().await.unwrap()
}

/// How many tokens there are, and whether the text is one of them.
async fn known(engine: &Engine, text: &str) -> (usize, bool) {
    let tokens = engine.tokens().await.unwrap();
    assert!(tokens.iter().all(|token| token.role == Role::Admin && token.expires_at.is_none()));
    let hash = Secret::parse(text.trim()).unwrap().hash();
    (tokens.len(), engine.token_of(hash).await.unwrap().is_some())
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    (folder, path)
}

#[tokio::test]
async fn an_instance_gets_one_first_token() {
    let engine = engine().await;
    let (folder, path) = folder();
    assert!(matches!(first(&engine, FirstToken::Nowhere).await, Err(OwnerError::Nowhere)));
    first(&engine, FirstToken::File(&path)).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(known(&engine, &text).await, (1, true));
    // Nothing else is left in the folder, and later starts leave everything as it is.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let mut terminal = Vec::new();
    first(&engine, FirstToken::Nowhere).await.unwrap();
    first(&engine, FirstToken::Terminal(&mut terminal)).await.unwrap();
    first(&engine, FirstToken::File(&folder.path().join("another"))).await.unwrap();
    assert_eq!(known(&engine, &text).await, (1, true));
    assert_eq!((terminal.len(), std::fs::read_dir(folder.path()).unwrap().count()), (0, 1));
}

#[tokio::test]
async fn a_terminal_shows_it_before_it_counts() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let engine = engine().await;
    let refused = first(&engine, FirstToken::Terminal(&mut Closed)).await;
    assert!(matches!(refused, Err(OwnerError::Terminal(_))));
    assert!(engine.tokens().await.unwrap().is_empty());

    let mut terminal = Vec::new();
    first(&engine, FirstToken::Terminal(&mut terminal)).await.unwrap();
    let shown = String::from_utf8(terminal).unwrap();
    assert_eq!(known(&engine, shown.rsplit(' ').next().unwrap()).await, (1, true));
}

#[tokio::test]
async fn the_owner_has_a_token_as_long_as_nobody_revokes_it() {
    let engine = engine().await;
    let (_folder, path) = folder();
    let token = ensure(&engine, &path).await.unwrap();
    assert_eq!(known(&engine, token.expose_secret()).await, (1, true));
    let again = ensure(&engine, &path).await.unwrap();
    assert_eq!(again.expose_secret(), token.expose_secret());

    // Whoever may open the store gets another one under another name.
    let other = ensure(&engine, &path.with_extension("other")).await.unwrap();
    assert_eq!(known(&engine, other.expose_secret()).await, (2, true));

    let hash = Secret::parse(token.expose_secret()).unwrap().hash();
    let revoked = engine.token_of(hash).await.unwrap().unwrap();
    engine.revoke_token(revoked.id).await.unwrap();
    assert!(matches!(ensure(&engine, &path).await, Err(OwnerError::Unknown { .. })));
    assert_eq!(known(&engine, token.expose_secret()).await, (1, false));

    // A file that was completed before the store knew it belongs to an instance without tokens.
    let fresh = self::engine().await;
    let adopted = ensure(&fresh, &path).await.unwrap();
    assert_eq!(adopted.expose_secret(), token.expose_secret());
    assert_eq!(known(&fresh, token.expose_secret()).await, (1, true));
}

#[tokio::test]
async fn a_file_is_never_written_over() {
    let engine = engine().await;
    let (folder, path) = folder();
    for text in ["", "\n", "something else", "jw_", &"x".repeat(10_000)] {
        std::fs::write(&path, text).unwrap();
        for refused in [
            first(&engine, FirstToken::File(&path)).await,
            ensure(&engine, &path).await.map(|_| ()),
        ] {
            assert!(matches!(refused, Err(OwnerError::Foreign { .. })), "{text}: {refused:?}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    let nowhere = folder.path().join("missing/token");
    assert!(matches!(ensure(&engine, &nowhere).await, Err(OwnerError::Write { .. })));
    assert!(matches!(ensure(&engine, folder.path()).await, Err(OwnerError::Read { .. })));
    assert!(engine.tokens().await.unwrap().is_empty());
}
