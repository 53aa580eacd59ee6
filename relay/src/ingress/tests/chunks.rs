//! Content in chunks (RFC 3030).

use super::kit::Server;

const BEGIN: &str = "MAIL FROM:<sender@example.test>\r\nRCPT TO:<user@example.org>\r\n";

#[tokio::test]
async fn chunks_make_a_message() {
    let server = Server::start("streamAbove: 8Ki");
    let mut client = server.hello().await;
    client.send(format!("{BEGIN}BDAT 7\r\na\r\n.\r\n.BDAT 0\r\nNOOP\r\nBDAT 3 LAST\r\nb\r\nNOOP\r\n")).await;
    for code in ["250 2.1.0", "250 2.1.5", "250 2.0.0", "250 2.0.0", "250 2.0.0", "250 2.0.0 Ok: queued", "250 2.0.0"] {
        client.expect(code).await;
    }
    client.send(format!("{BEGIN}BDAT 6 last\r\nno end")).await;
    for code in ["250", "250", "250 2.0.0 Ok: queued"] {
        client.expect(code).await;
    }
    let line = format!("{}\r\n", "x".repeat(998));
    client.send(format!("{BEGIN}BDAT 20000\r\n{0}BDAT 20000\r\n{0}BDAT 0 LAST\r\n", line.repeat(20))).await;
    for code in ["250", "250", "250", "250", "250 2.0.0 Ok: queued"] {
        client.expect(code).await;
    }
    let taken = server.taken();
    assert_eq!(taken[0].1, b"a\r\n.\r\n.b\r\n");
    assert_eq!(taken[0].0.size, 10);
    assert_eq!(taken[1].1, b"no end");
    assert!(taken[2].1 == line.repeat(40).as_bytes() && taken[2].2);
    assert_eq!(server.context.budget.used(), 0);
}

#[tokio::test]
async fn the_octets_of_a_refused_chunk_are_no_commands() {
    let server = Server::start("errors: 100, messageSize: 64Ki");
    let mut client = server.hello().await;
    client.send("BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n").await;
    client.expect("503 5.5.1").await;
    client.expect("503 5.5.1").await;
    client.send("MAIL FROM:<>\r\nRCPT TO:<user@stranger.test>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n").await;
    for code in ["250", "550", "554 5.5.1", "250 2.0.0"] {
        client.expect(code).await;
    }
    for (first, reply) in [("a\nb\r\n", "554 5.6.0"), ("a\r\r\nb", "554 5.6.0")] {
        client.send(format!("{BEGIN}BDAT 5\r\n{first}BDAT 6 LAST\r\nQUIT\r\n")).await;
        for code in ["250", "250", reply, "503 5.5.1"] {
            client.expect(code).await;
        }
    }
    client.send(format!("{BEGIN}BDAT 2\r\na\rBDAT 3 LAST\r\nb\r\n")).await;
    for code in ["250", "250", "250", "554 5.6.0"] {
        client.expect(code).await;
    }
    client.send(format!("{BEGIN}BDAT 70000 LAST\r\n{}", "x\r\n".repeat(70_000 / 3 + 1))).await;
    for code in ["250", "250", "552 5.3.4", "500"] {
        client.expect(code).await;
    }
    assert!(server.taken().is_empty());
    assert_eq!(server.context.budget.used(), 0);
}

#[tokio::test]
async fn between_chunks_only_some_commands_make_sense() {
    let server = Server::start("errors: 100");
    let mut client = server.hello().await;
    client.send(format!("{BEGIN}BDAT 3\r\na\r\n")).await;
    for _ in 0..3 {
        client.expect("250").await;
    }
    client.ask("MAIL FROM:<>", "503").await;
    client.ask("RCPT TO:<user@example.org>", "503").await;
    client.ask("DATA", "503").await;
    client.ask("RSET", "250").await;
    client.send("BDAT 3 LAST\r\na\r\n").await;
    client.expect("503").await;
    client.mail("b\r\n.\r\n", "250").await;
    assert_eq!(server.taken().len(), 1);
    assert_eq!(server.taken()[0].1, b"b\r\n");
}
