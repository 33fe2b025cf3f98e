//! Captures built packet by packet, and what is handed on of them.

use super::Captured;
use crate::controls::craft;
use crate::controls::traffic::{End, connection, ethernet, ipv4, pcap, pcapng, tcp, udp};
use crate::unpack::tests::{Handed, handed};
use std::net::Ipv4Addr;

const CLIENT: End = (Ipv4Addr::new(10, 0, 0, 2), 40_000);
const SERVER: End = (Ipv4Addr::new(203, 0, 113, 9), 80);
const THERE: &str = "tcp 10.0.0.2:40000 -> 203.0.113.9:80";
const BACK: &str = "tcp 203.0.113.9:80 -> 10.0.0.2:40000";

/// Everything of a part of a flow, whatever packets it came in.
#[track_caller]
fn text(handed: &Handed, flow: &str, part: &str) -> String {
    let place = if part.is_empty() { format!("f > {flow}") } else { format!("f > {flow} > {part}") };
    String::from_utf8_lossy(&handed.whole[&place]).into_owned()
}

fn flow<'c>(captured: &'c Captured, transport: &str, to: &str) -> &'c super::Flow {
    captured.flows.iter().find(|flow| flow.transport == transport && flow.to == to).expect("the flow")
}

fn request(body: &[u8], more: &str) -> Vec<u8> {
    let head = format!(
        "POST /sync?me=1 HTTP/1.1\r\nHost: api.example.cn:80\r\n{more}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A conversation in order.
fn conversation(there: &[u8], back: &[u8]) -> Vec<Vec<u8>> {
    vec![
        tcp(CLIENT, SERVER, 9, 0x02, b""),
        tcp(SERVER, CLIENT, 99, 0x12, b""),
        tcp(CLIENT, SERVER, 10, 0x18, there),
        tcp(SERVER, CLIENT, 100, 0x18, back),
    ]
}

#[test]
fn a_stream_is_put_in_order_and_taken_apart() {
    let frames = connection(CLIENT, SERVER, &request(b"my number is +8613800138000", "Cookie: a=b\r\n"), 7);
    for file in [pcap(&frames), pcapng(&frames)] {
        let handed = handed(&file);
        let there = format!("{THERE} (api.example.cn)");
        assert_eq!(text(&handed, &there, "request line"), "POST /sync?me=1 HTTP/1.1\r\n");
        assert_eq!(text(&handed, &there, "header cookie"), "Cookie: a=b\r\n");
        assert_eq!(text(&handed, &there, "request body"), "my number is +8613800138000");
        let captured = &handed.captured[0];
        assert_eq!(captured.packets, frames.len() as u64);
        let flow = flow(captured, "tcp", "203.0.113.9:80");
        assert_eq!((flow.host.as_deref(), flow.first_packet), (Some("api.example.cn"), 1));
        assert_eq!(handed.unseen, []);
    }
}

#[test]
fn bodies_are_unpacked_and_the_packet_is_named() {
    let body = craft::gzip(b"wang@example.com");
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: deflate\r\n\r\n";
    let deflated = craft::deflate(b"zhang@example.com");
    let (one, two) = deflated.split_at(5);
    let mut back = answer.to_vec();
    for chunk in [one, two] {
        back.extend(format!("{:x};ext=\"+86138\"\r\n", chunk.len()).bytes());
        back.extend([chunk, b"\r\n"].concat());
    }
    back.extend(b"0\r\nTrailer: t\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 No\r\n\r\n");
    let handed = handed(&pcap(&conversation(&request(&body, "Content-Encoding: gzip\r\n"), &back)));
    assert_eq!(
        handed.run(&format!("f > {THERE} (api.example.cn) > packet 3 > request body > [gzip]")),
        "wang@example.com"
    );
    let back = format!("f > {BACK} (api.example.cn) > packet 4");
    assert_eq!(handed.run(&format!("{back} > response body > [deflate]")), "zhang@example.com");
    assert_eq!(handed.run(&format!("{back} > chunk extension")).matches("+86138").count(), 2);
    assert_eq!(handed.run(&back), "Trailer: t\r\n\r\n");
    assert_eq!(handed.run(&format!("{back} > status line")).matches("HTTP/1.1").count(), 3);
    assert_eq!(handed.unseen, []);
}

#[test]
fn what_is_missing_is_said_and_what_came_after_is_searched() {
    let frames = [
        tcp(CLIENT, SERVER, 9, 0x02, b""),
        tcp(CLIENT, SERVER, 10, 0x18, b"before"),
        tcp(CLIENT, SERVER, 30, 0x18, b"after"),
        tcp(CLIENT, SERVER, 10, 0x18, b"BEFORE"),
    ];
    let handed = handed(&pcap(&frames));
    assert_eq!(handed.run(&format!("f > {THERE} > packet 2")), "before");
    assert_eq!(handed.run(&format!("f > {THERE} > packet 3")), "after");
    assert_eq!(handed.run(&format!("f > {THERE} > packet 4")), "BEFORE", "another word for the same bytes");
    handed.said("14 bytes of the stream are missing before packet 3");
}

#[test]
fn fragments_are_joined_and_tags_and_tunnels_passed() {
    let payload = [&[0x9c, 0x40, 0x30, 0x39, 0, 40, 0, 0][..], b"fragmented words that come in two"].concat();
    let fragment = |offset: usize, end: usize, more: bool| {
        let mut packet = ipv4(CLIENT.0, SERVER.0, 17, &payload[offset..end]);
        packet[6..8].copy_from_slice(&((offset / 8) as u16 | if more { 0x2000 } else { 0 }).to_be_bytes());
        packet
    };
    let whole = ipv4(CLIENT.0, SERVER.0, 17, &payload);
    let tagged = [&ethernet(&[])[..12], b"\x88\xa8\0\x05\x81\0\0\x07\x08\0", &whole].concat();
    let tunnel = ethernet(&ipv4(SERVER.0, CLIENT.0, 4, &whole));
    let frames = [
        ethernet(&fragment(24, payload.len(), false)),
        ethernet(&fragment(0, 24, true)),
        tagged,
        tunnel,
        ethernet(&fragment(0, 24, true)),
    ];
    let handed = handed(&pcap(&frames));
    for packet in [2, 3, 4] {
        let run = handed.run(&format!("f > udp 10.0.0.2:40000 -> 203.0.113.9:12345 > packet {packet}"));
        assert_eq!(run, "fragmented words that come in two");
    }
    handed.said("1 fragments");
    assert!(handed.runs["f > packet 5"].ends_with(b"fragmented words"));
}

#[test]
fn link_layers_and_ipv6_are_known() {
    let mut v6 = vec![0x60, 0, 0, 0, 0, 24, 0, 64];
    v6.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    v6.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    v6.extend([17, 0, 0, 0, 0, 0, 0, 0]); // hop-by-hop
    v6.extend([0, 7, 0, 9, 0, 16, 0, 0]);
    v6.extend(b"in six!!");
    let sll = |kind: u16| [&[0; 14][..], &kind.to_be_bytes(), &v6].concat();
    let sll2 = [&[0x86, 0xdd][..], &[0; 18], &v6].concat();
    let null = [&[30, 0, 0, 0][..], &v6].concat();
    for (link, frame) in [(101u8, v6.clone()), (113, sll(0x86dd)), (20, sll2), (0, null), (229, v6.clone())] {
        let mut file = pcap(&[frame]);
        file[20..24].copy_from_slice(&if link == 20 { 276u32 } else { u32::from(link) }.to_le_bytes());
        let handed = handed(&file);
        assert_eq!(
            handed.run("f > udp [2001:db8::1]:7 -> [2001:db8::2]:9 > packet 1"),
            "in six!!",
            "link {link}"
        );
    }
    let mut unknown = pcap(&[b"some radio frame".to_vec()]);
    unknown[20] = 147;
    let handed = handed(&unknown);
    assert_eq!(handed.run("f > packet 1"), "some radio frame");
    handed.said("link layer");
}

#[test]
fn both_byte_orders_and_resolutions_are_read() {
    let mut frames = udp(CLIENT, SERVER, b"big");
    let mut file = b"\xa1\xb2\x3c\x4d\0\x02\0\x04\0\0\0\0\0\0\0\0\0\x04\0\0\0\0\0\x01".to_vec();
    file.extend([0, 0, 0, 7, 0, 0, 0, 5, 0, 0, 0, frames.len() as u8, 0, 0, 0, frames.len() as u8 + 1]);
    file.append(&mut frames);
    let handed = handed(&file);
    assert_eq!(handed.captured[0].flows[0].first_time_ns, 7_000_000_005);
    handed.said("1 packets were captured in part only");
}

#[test]
fn names_and_encryption_are_told() {
    let question = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x03api\x07example\x02cn\0\0\x01\0\x01";
    let mut answer = question.to_vec();
    (answer[2], answer[7]) = (0x81, 1);
    answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xcb\0\x71\x09");
    let resolver = (Ipv4Addr::new(10, 0, 0, 1), 53);
    let mut hello = vec![0x16, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3];
    hello.extend([0; 32]);
    hello.extend(b"\0\0\x02\x13\x01\x01\0\0\x12\0\0\0\x0e\0\x0c\0\0\x09sni.Local");
    let length = (hello.len() - 5) as u8;
    (hello[4], hello[8]) = (length, length - 4);
    let tls = (SERVER.0, 443);
    let other = (Ipv4Addr::new(198, 51, 100, 7), 443);
    let frames = [
        udp(CLIENT, resolver, question),
        udp(resolver, CLIENT, &answer),
        tcp(CLIENT, tls, 1, 0x18, b"\x17\x03\x03\0\x02ab"),
        tcp((CLIENT.0, 40_001), other, 1, 0x18, &hello),
        udp(CLIENT, other, b"\xc3\0\0\0\x01abcdef"),
        udp(other, CLIENT, b"\x40short"),
    ];
    let handed = handed(&pcap(&frames));
    handed.said("encrypted by TLS: 7 bytes in 1 flows with api.example.cn");
    handed.said("flows with sni.local");
    handed.said("encrypted by QUIC: 17 bytes in 2 flows with 198.51.100.7:443");
    let captured = &handed.captured[0];
    assert_eq!(captured.queried.iter().collect::<Vec<_>>(), ["api.example.cn"]);
    assert!(captured.names[&SERVER.0.into()].contains("api.example.cn"));
    assert_eq!(handed.run("f > udp 10.0.0.2:40000 -> 10.0.0.1:53 > packet 1 > [dns name]"), "api.example.cn");
}

#[test]
fn what_http_hides_is_said() {
    let brotli = request(b"\x0b\x02\x80", "Content-Encoding: br\r\n");
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nfirst words";
    let handed_cut = handed(&pcap(&conversation(&brotli, cut)));
    handed_cut.said("a body packed by \"br\"");
    handed_cut.said("ends before its length");
    handed(&pcap(&conversation(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""))).said("HTTP/2");
    let upgraded = handed(&pcap(&conversation(
        b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\x81\x85mask",
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x05hello",
    )));
    upgraded.said("goes over to websocket");
    assert_eq!(text(&upgraded, BACK, ""), "\u{fffd}\u{5}hello", "searched as it stands");
}

#[test]
fn truncated_and_damaged_captures_are_read_as_far_as_they_go() {
    let frames = connection(CLIENT, SERVER, &request(b"body", ""), 50);
    for file in [pcap(&frames), pcapng(&frames)] {
        for end in 24..file.len() {
            let handed = handed(&file[..end]);
            assert!(handed.captured.len() <= 1);
        }
        handed(&file[..file.len() - 30]).said("truncated at packet");
        let mut damaged = file.clone();
        let at = file.len() - frames.last().expect("one").len() - 9;
        damaged[at..at + 4].fill(0xff);
        damaged[at - 8..at].fill(0x7f);
        assert!(!handed(&damaged).unseen.is_empty());
    }
}

#[test]
fn memory_is_bounded_and_what_is_given_up_is_said() {
    // More than one direction may hold, in order: it is searched in pieces.
    let mut frames = vec![tcp(CLIENT, SERVER, 9, 0x02, b"")];
    let segment = vec![b'a'; 60_000];
    for n in 0..600u32 {
        frames.push(tcp(CLIENT, SERVER, 10 + n * 60_000, 0x18, &segment));
    }
    // And more than may wait for something that never comes.
    let other = (CLIENT.0, 50_000);
    for n in 0..60u32 {
        frames.push(tcp(other, SERVER, 1_000 + n * 60_001 * 2, 0x18, &segment));
    }
    let mut only_counts = Handed { forgetful: true, ..Handed::default() };
    only_counts =
        crate::unpack::tests::handed_within(&pcap(&frames)[..], crate::Limits::default(), only_counts);
    only_counts.said("searched in pieces");
    only_counts.said("bytes of the stream are missing");
}
