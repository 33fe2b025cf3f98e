//! Country calling codes (ITU-T E.164 list of assigned codes) and the trunk digit of national writing.
//!
//! A table of our own instead of a library: all that is needed is where the country code ends and whether a
//! number is written with a trunk digit at home. A library that judges validity would be a mistake here: what an
//! application stored is looked for, whether or not a numbering plan permits it.

/// How numbers of a country are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Country {
    code: &'static str,
    trunk: &'static str,
}

/// Codes of one and two digits; every other code has three (ITU-T E.164.D).
const SHORT: &[u32] = &[
    1, 7, 20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57,
    58, 60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98,
];

/// Codes whose national writing has no trunk 0: the first digits belong to the number.
const NO_TRUNK: &[&str] = &[
    "30", "34", "39", "45", "47", "48", "65", "350", "351", "352", "354", "356", "357", "371", "372", "376",
    "377", "378", "420", "502", "503", "504", "505", "506", "507", "852", "853", "965", "968", "973", "974",
];

/// ISO 3166-1 alpha-2 and the calling code; several countries may share one.
const COUNTRIES: &str = "AD376 AE971 AF93 AG1 AI1 AL355 AM374 AO244 AR54 AS1 AT43 AU61 AW297 AX358 AZ994 BA387 BB1 BD880 \
BE32 BF226 BG359 BH973 BI257 BJ229 BL590 BM1 BN673 BO591 BQ599 BR55 BS1 BT975 BW267 BY375 BZ501 CA1 CC61 CD243 CF236 \
CG242 CH41 CI225 CK682 CL56 CM237 CN86 CO57 CR506 CU53 CV238 CW599 CX61 CY357 CZ420 DE49 DJ253 DK45 DM1 DO1 DZ213 EC593 \
EE372 EG20 EH212 ER291 ES34 ET251 FI358 FJ679 FK500 FM691 FO298 FR33 GA241 GB44 GD1 GE995 GF594 GG44 GH233 GI350 GL299 \
GM220 GN224 GP590 GQ240 GR30 GT502 GU1 GW245 GY592 HK852 HN504 HR385 HT509 HU36 ID62 IE353 IL972 IM44 IN91 IO246 IQ964 \
IR98 IS354 IT39 JE44 JM1 JO962 JP81 KE254 KG996 KH855 KI686 KM269 KN1 KP850 KR82 KW965 KY1 KZ7 LA856 LB961 LC1 LI423 \
LK94 LR231 LS266 LT370 LU352 LV371 LY218 MA212 MC377 MD373 ME382 MF590 MG261 MH692 MK389 ML223 MM95 MN976 MO853 MP1 \
MQ596 MR222 MS1 MT356 MU230 MV960 MW265 MX52 MY60 MZ258 NA264 NC687 NE227 NF672 NG234 NI505 NL31 NO47 NP977 NR674 NU683 \
NZ64 OM968 PA507 PE51 PF689 PG675 PH63 PK92 PL48 PM508 PR1 PS970 PT351 PW680 PY595 QA974 RE262 RO40 RS381 RU7 RW250 \
SA966 SB677 SC248 SD249 SE46 SG65 SH290 SI386 SJ47 SK421 SL232 SM378 SN221 SO252 SR597 SS211 ST239 SV503 SX1 SY963 SZ268 \
TC1 TD235 TG228 TH66 TJ992 TK690 TL670 TM993 TN216 TO676 TR90 TT1 TV688 TW886 TZ255 UA380 UG256 US1 UY598 UZ998 VA39 VC1 \
VE58 VG1 VI1 VN84 VU678 WF681 WS685 XK383 YE967 YT262 ZA27 ZM260 ZW263";

impl Country {
    /// The country of an ISO 3166-1 alpha-2 code, of either case; none if it has no calling code.
    pub fn of(iso: &str) -> Option<Self> {
        let wanted = iso.trim();
        let code = COUNTRIES
            .split_ascii_whitespace()
            .find(|entry| wanted.len() == 2 && entry[..2].eq_ignore_ascii_case(wanted))
            .map(|entry| &entry[2..])?;
        Some(Self { code, trunk: trunk(code) })
    }

    /// The digits of a number in E.164 from how it is written at home, given as digits only.
    pub(crate) fn international(self, digits: &str) -> String {
        let national = match self.trunk {
            // 1 and 8 also begin numbers of their own: they are a trunk digit only before ten digits.
            "1" | "8" if digits.len() == 11 => digits.strip_prefix(self.trunk).unwrap_or(digits),
            "0" => digits.strip_prefix('0').unwrap_or(digits),
            _ => digits,
        };
        format!("{}{national}", self.code)
    }
}

/// How many of a number's digits in E.164 are its country code.
pub(crate) fn code_length(digits: &str) -> usize {
    let is =
        |n: usize| digits.get(..n).and_then(|d| d.parse().ok()).is_some_and(|code| SHORT.contains(&code));
    if is(1) {
        1
    } else if is(2) {
        2
    } else {
        3
    }
}

/// What is written before a national number at home: `0` nearly everywhere, nothing in some countries.
pub(crate) fn trunk(code: &str) -> &'static str {
    match code {
        "1" => "1",
        "7" => "8",
        _ if NO_TRUNK.contains(&code) => "",
        _ => "0",
    }
}

#[cfg(test)]
mod tests {
    use super::{COUNTRIES, Country, code_length};

    #[test]
    fn codes_end_where_e164_says() {
        for (number, length) in [
            ("14155550123", 1),
            ("8613912345678", 2),
            ("79161234567", 1),
            ("35314567890", 3),
            ("4930123456", 2),
        ] {
            assert_eq!(code_length(number), length, "{number}");
        }
        for entry in COUNTRIES.split_ascii_whitespace() {
            assert_eq!(code_length(&format!("{}123456789", &entry[2..])), entry.len() - 2, "{entry}");
        }
    }

    #[test]
    fn national_writing_becomes_international() {
        for (iso, written, full) in [
            ("de", "030123456", "4930123456"),
            ("CN", "13912345678", "8613912345678"),
            ("US", "14155550123", "14155550123"),
            ("US", "4155550123", "14155550123"),
            ("RU", "89161234567", "79161234567"),
            ("IT", "0612345678", "390612345678"),
        ] {
            assert_eq!(Country::of(iso).unwrap().international(written), full, "{iso} {written}");
        }
        assert_eq!(Country::of("ZZ"), None);
        assert_eq!(Country::of("aé"), None);
    }
}
