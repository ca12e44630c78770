//! The modes of a cable, against a server that sends everything back.

use std::time::{Duration, Instant};

use anyhow::bail;
use standbywatch_lab::{Cable, Mode, Result, Way, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);
/// Long enough that anything not held back would have come on loopback.
const HELD: Duration = Duration::from_millis(300);

/// A cable to an echo server, and one connection through it that works.
async fn laid() -> Result<(Cable, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let cable = Cable::to(listener.local_addr()?).await?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut into) = stream.into_split();
                tokio::io::copy(&mut from, &mut into).await
            });
        }
    });
    let mut client = TcpStream::connect(cable.address()).await?;
    assert_eq!(echo(&mut client, b"hello").await?, b"hello");
    Ok((cable, client))
}

async fn echo(client: &mut TcpStream, text: &[u8]) -> Result<Vec<u8>> {
    client.write_all(text).await?;
    let mut answer = vec![0; text.len()];
    timeout(SOON, client.read_exact(&mut answer)).await??;
    Ok(answer)
}

async fn silent(client: &mut TcpStream) -> bool {
    timeout(HELD, client.read_u8()).await.is_err()
}

#[tokio::test]
async fn passes_and_counts() -> Result<()> {
    let (cable, mut client) = laid().await?;
    let text = vec![7; 1_000_000];
    let (mut from, mut into) = client.split();
    let mut answer = vec![0; text.len()];
    let (sent, received) = tokio::join!(into.write_all(&text), from.read_exact(&mut answer));
    sent?;
    received?;
    assert_eq!(answer, text);
    // The client may hold the last bytes before the cable has counted them.
    let all = (1, 1, 1_000_005, 1_000_005);
    wait_until("every byte is counted", SOON, async || {
        let traffic = cable.traffic();
        let counted = (traffic.open, traffic.connections, traffic.to_server, traffic.to_client);
        if counted != all {
            bail!("counted {counted:?} of {all:?}");
        }
        Ok(Some(()))
    })
    .await?;
    client.shutdown().await?;
    assert_eq!(client.read(&mut [0]).await?, 0, "the end passes, too");
    wait_until("the connection is counted out", SOON, async || Ok((cable.traffic().open == 0).then_some(()))).await
}

#[tokio::test]
async fn delays_each_way_without_slowing() -> Result<()> {
    let (cable, mut client) = laid().await?;
    cable.set(Mode::Delay(Duration::from_millis(200)));
    let began = Instant::now();
    for _ in 0..20 {
        client.write_all(b"tick").await?;
    }
    let mut answer = [0; 80];
    client.read_exact(&mut answer).await?;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(400), "{took:?}");
    assert!(took < Duration::from_millis(1500), "{took:?}");
    Ok(())
}

#[tokio::test]
async fn throttles_to_a_rate_that_can_change() -> Result<()> {
    let (cable, mut client) = laid().await?;
    cable.set(Mode::Throttle(10_000));
    let began = Instant::now();
    client.write_all(&[1; 10_000]).await?;
    let mut part = [0; 5_000];
    client.read_exact(&mut part).await?;
    let half = began.elapsed();
    assert!(half >= Duration::from_millis(450), "{half:?}");
    client.read_exact(&mut part).await?;
    let whole = began.elapsed();
    assert!(whole >= Duration::from_millis(900), "{whole:?}");
    assert!(whole < Duration::from_secs(3), "{whole:?}");
    cable.set(Mode::Throttle(10));
    client.write_all(&[1; 10_000]).await?;
    assert!(silent(&mut client).await || cable.traffic().to_client < 10_020);
    cable.set(Mode::Pass);
    let mut rest = [0; 9_900];
    timeout(SOON, client.read_exact(&mut rest)).await??;
    Ok(())
}

#[tokio::test]
async fn black_hole_holds_everything_and_gives_it_back() -> Result<()> {
    let (cable, mut client) = laid().await?;
    cable.set(Mode::BlackHole);
    client.write_all(b"lost?").await?;
    assert!(silent(&mut client).await);
    let mut late = TcpStream::connect(cable.address()).await?;
    late.write_all(b"anyone?").await?;
    assert!(silent(&mut late).await);
    let mut given_up = TcpStream::connect(cable.address()).await?;
    given_up.write_all(b"never mind").await?;
    drop(given_up);
    cable.set(Mode::Pass);
    let mut answer = [0; 5];
    timeout(SOON, client.read_exact(&mut answer)).await??;
    assert_eq!(&answer, b"lost?");
    assert_eq!(echo(&mut client, b"again").await?, b"again");
    let mut answer = [0; 7];
    timeout(SOON, late.read_exact(&mut answer)).await??;
    assert_eq!(&answer, b"anyone?");
    assert_eq!(cable.traffic().connections, 2, "the one given up never was");
    Ok(())
}

#[tokio::test]
async fn black_hole_hides_the_end_of_either_side() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let cable = Cable::to(listener.local_addr()?).await?;
    let mut client = TcpStream::connect(cable.address()).await?;
    let (server, _) = listener.accept().await?;
    cable.set(Mode::BlackHole);
    drop(server);
    assert!(silent(&mut client).await);
    cable.set(Mode::Pass);
    assert_eq!(timeout(SOON, client.read(&mut [0])).await??, 0);
    Ok(())
}

#[tokio::test]
async fn black_hole_pushes_back_on_the_sender() -> Result<()> {
    let (cable, client) = laid().await?;
    cable.set(Mode::BlackHole);
    let (mut from, mut into) = client.into_split();
    let sending = tokio::spawn(async move { into.write_all(&vec![3; 64 << 20]).await });
    tokio::time::sleep(HELD).await;
    assert!(!sending.is_finished(), "64 MiB do not fit into buffers");
    cable.set(Mode::Pass);
    let mut answer = vec![0; 64 << 20];
    timeout(Duration::from_secs(60), from.read_exact(&mut answer)).await??;
    assert!(answer.iter().all(|byte| *byte == 3));
    sending.await??;
    Ok(())
}

#[tokio::test]
async fn one_way_passes_one_way() -> Result<()> {
    let (cable, mut client) = laid().await?;
    cable.set(Mode::OneWay(Way::ToServer));
    client.write_all(b"there").await?;
    assert!(silent(&mut client).await);
    assert_eq!(cable.traffic().to_server, 10, "it arrived");
    cable.set(Mode::OneWay(Way::ToClient));
    let mut answer = [0; 5];
    timeout(SOON, client.read_exact(&mut answer)).await??;
    assert_eq!(&answer, b"there");
    client.write_all(b"stays").await?;
    assert!(silent(&mut client).await);
    assert_eq!(cable.traffic().to_server, 10, "it did not arrive");
    Ok(())
}

#[tokio::test]
async fn resets_old_and_new_connections() -> Result<()> {
    let (cable, mut client) = laid().await?;
    cable.set(Mode::Reset);
    let end = timeout(SOON, client.read_u8()).await?;
    assert_eq!(end.map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionReset));
    // The reset may come before the connection is used, or while.
    let new = async {
        let mut new = TcpStream::connect(cable.address()).await?;
        new.read_u8().await
    };
    assert_eq!(timeout(SOON, new).await?.map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionReset));
    cable.set(Mode::Pass);
    let mut client = TcpStream::connect(cable.address()).await?;
    assert_eq!(echo(&mut client, b"back").await?, b"back");
    Ok(())
}

#[tokio::test]
async fn refuses_and_listens_again() -> Result<()> {
    let (cable, mut client) = laid().await?;
    cable.set(Mode::Refuse);
    assert!(timeout(SOON, client.read_u8()).await?.is_err());
    wait_until("connections are refused", SOON, async || {
        let refused = TcpStream::connect(cable.address()).await;
        let kind = refused.map(|_| ()).map_err(|error| error.kind());
        Ok((kind == Err(std::io::ErrorKind::ConnectionRefused)).then_some(()))
    })
    .await?;
    cable.set(Mode::Pass);
    let mut client =
        wait_until("the cable listens again", SOON, async || Ok(Some(TcpStream::connect(cable.address()).await?)))
            .await?;
    assert_eq!(echo(&mut client, b"back").await?, b"back");
    Ok(())
}
