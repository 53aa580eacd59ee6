//! The session without a socket: it does not matter how the octets of a client are cut into packets.

use std::sync::Arc;

use proptest::prelude::*;

use super::kit::{Memory, TENANTS, config, context};
use crate::{
    ingress::{
        Context,
        session::{Effect, Piece, Session, Whole},
    },
    message::MessageId,
};

/// What a client sees and what is stored, for octets that come in these pieces.
fn converse(context: &Context<Memory>, pieces: &[&[u8]]) -> (String, Vec<Vec<u8>>) {
    let (mut out, mut stored, mut streamed) = (Vec::new(), Vec::new(), Vec::new());
    let mut session = Session::open([192, 0, 2, 1].into(), &context.config.load(), &mut out);
    let mut input = Vec::new();
    'pieces: for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let (used, effect) = session.advance(&input, context, &mut out);
            input.drain(..used);
            match effect {
                Effect::Read => break,
                Effect::Etrn(tenant) => out.extend_from_slice(format!("[{tenant}]").as_bytes()),
                Effect::Spill(Piece::First(octets)) => streamed = octets.to_vec(),
                Effect::Spill(Piece::Next(octets)) => streamed.extend_from_slice(&octets),
                Effect::Store(complete) => {
                    let content = match complete.content {
                        Whole::Here(octets) => octets.to_vec(),
                        Whole::Rest(octets) => [std::mem::take(&mut streamed), octets.to_vec()].concat(),
                    };
                    assert_eq!(complete.envelope.size, content.len() as u64);
                    stored.push(content);
                    session.stored(&Ok(MessageId::from_u64(stored.len() as u64)), context, &mut out);
                }
                Effect::StartTls | Effect::Quit | Effect::Close => break 'pieces,
            }
        }
    }
    (String::from_utf8(out).unwrap(), stored)
}

/// One thing that a client may say; some are wrong.
fn saying() -> impl Strategy<Value = String> {
    let fixed = [
        "EHLO client.example\r\n",
        "HELO client.example\r\n",
        "NOOP\r\n",
        "RSET\r\n",
        "ETRN example.org\r\n",
        "FOO\r\n",
        "MAIL FROM:<>\r\n",
        "MAIL FROM:<a@b.test> SIZE=99\r\n",
        "RCPT TO:<user@example.org>\r\n",
        "RCPT TO:<>\r\n",
        "RCPT TO:<user@stranger.test>\r\n",
        "DATA\r\n",
        "\r\n",
        "\n",
        "\r",
        ".\r\n",
        "BDAT 3 LAST\r\na\r\n",
        "BDAT 4\r\nab\r\n",
        "BDAT 0 LAST\r\n",
        "BDAT x\r\n",
        "QUIT\r\n",
        "a line\r\n",
        "..\r\n",
        "bare\nline\r\n",
    ];
    let message = "MAIL FROM:<>\r\nRCPT TO:<user@example.org>\r\nDATA\r\n";
    prop_oneof![
        3 => proptest::sample::select(fixed.to_vec()).prop_map(str::to_owned),
        1 => (0_usize..400).prop_map(move |lines| {
            format!("{message}{}.\r\n", "a line of some forty octets, as mail has\r\n".repeat(lines))
        }),
        1 => "[ -~]{600}".prop_map(|junk| junk + "\r\n"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_split_has_the_same_course(
        sayings in proptest::collection::vec(saying(), 1..16),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        thread_local! {
            static CONTEXT: Arc<Context<Memory>> =
                context(config("streamAbove: 4Ki, commandLine: 512, errors: 100, messageSize: 64Ki", TENANTS)).0;
        }
        let text = format!("EHLO client.example\r\n{}", sayings.concat());
        let octets = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.index(octets.len() + 1)).collect();
        cuts.extend([0, octets.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &octets[pair[0]..pair[1]]).collect();
        CONTEXT.with(|context| {
            let whole = converse(context, &[octets]);
            prop_assert_eq!(converse(context, &pieces), whole.clone());
            let single: Vec<&[u8]> = octets.chunks(1).collect();
            prop_assert_eq!(converse(context, &single), whole);
            prop_assert_eq!(context.budget.used(), 0);
            Ok(())
        })?;
    }
}
