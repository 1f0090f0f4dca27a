use super::*;

fn parse(text: &str) -> Result<Value<'_>, JsonError> {
    Value::parse(text.as_bytes(), 1 << 20)
}

#[test]
fn a_repeated_name_is_refused_at_any_depth() {
    for text in [r#"{"a":1,"a":1}"#, r#"[{"x":{"a":1,"b":2,"\u0061":3}}]"#] {
        assert!(matches!(parse(text).unwrap_err().fault, JsonFault::Syntax(_)), "{text}");
    }
    assert!(parse(r#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
}

#[test]
fn depth_size_and_count_are_bounded() {
    let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert!(parse(&nested(MAX_DEPTH + 1)).is_err());
    assert!(Value::parse(b"[1,2]", 4).is_err());
    let many = "[".to_string() + &"0,".repeat(MAX_VALUES) + "0]";
    assert!(Value::parse(many.as_bytes(), usize::MAX).is_err());
}

#[test]
fn what_follows_the_document_is_refused() {
    for text in ["{} {}", "{},", "", "{\"a\":1,}", "{'a':1}", "nul"] {
        assert!(parse(text).is_err(), "{text}");
    }
    assert!(parse(" {}\n").is_ok());
}

#[test]
fn fields_are_taken_once_and_leftovers_refused() {
    let read = |text: &'static str, unknown| {
        Fields::document(text.as_bytes(), 1000, unknown, |fields| {
            Ok::<_, JsonError>((fields.index("logIndex")?, fields.bytes("keyId")?))
        })
    };
    let strict = |text| read(text, Unknown::Refuse);
    assert_eq!(strict(r#"{"logIndex":"7","keyId":"_-8"}"#).unwrap(), (7, [0xff, 0xef].to_vec()));
    assert_eq!(strict(r#"{"log_index":7,"keyId":"/+8="}"#).unwrap(), (7, [0xff, 0xef].to_vec()));
    assert_eq!(strict(r#"{"keyId":"/+\n8=\n"}"#).unwrap(), (0, [0xff, 0xef].to_vec()));
    assert_eq!(strict(r#"{"log_index":null,"logIndex":7}"#).unwrap_err().fault, JsonFault::Repeated);
    assert_eq!(strict(r#"{"logIndex":null}"#).unwrap(), (0, [].to_vec()));
    assert_eq!(strict(r#"{"other":1}"#).unwrap_err().fault, JsonFault::UnknownField);
    assert!(read(r#"{"other":1}"#, Unknown::Ignore).is_ok());
    for bad in [
        r#"{"logIndex":-1}"#,
        r#"{"logIndex":"-1"}"#,
        r#"{"logIndex":"+1"}"#,
        r#"{"logIndex":1.5}"#,
        r#"{"logIndex":9223372036854775808}"#,
        r#"{"logIndex":"18446744073709551616"}"#,
        r#"{"logIndex":" 1"}"#,
        r#"{"logIndex":"01"}"#,
        r#"{"logIndex":"00"}"#,
        r#"{"logIndex":true}"#,
        r#"{"keyId":"a"}"#,
        r#"{"keyId":"Y Q=="}"#,
        r#"{"keyId":"YR=="}"#,
        r#"{"keyId":1}"#,
        r"[]",
    ] {
        assert!(strict(bad).is_err(), "{bad}");
    }
}

#[test]
fn writing_keeps_order_and_escapes() {
    let value = object([
        ("b", Some(Value::text("\"\n— é"))),
        ("left out", None),
        ("a", Some(Value::Array(alloc::vec![Value::int64(1u64), Value::Null, Value::Integer(2)]))),
        ("e", Some(Value::Array(alloc::vec![]))),
    ]);
    assert_eq!(value.to_compact(), r#"{"b":"\"\n— é","a":["1",null,2],"e":[]}"#);
    let pretty = value.to_pretty();
    assert_eq!(
        pretty,
        "{\n  \"b\": \"\\\"\\n— é\",\n  \"a\": [\n    \"1\",\n    null,\n    2\n  ],\n  \"e\": []\n}\n"
    );
    assert_eq!(parse(&pretty).unwrap(), value);
}

#[test]
fn the_second_spelling_is_known() {
    let is = |found, name| fields::is_snake_case_of(found, name);
    assert!(is("log_index", "logIndex") && is("hashed_rekord_request_v002", "hashedRekordRequestV002"));
    for other in
        ["", "logIndex", "log_Index", "logindex", "log_inde", "log_index_", "_log_index", "log__index"]
    {
        assert!(!is(other, "logIndex"), "{other}");
    }
}

#[test]
fn few_names_and_many_are_held_to_the_same() {
    for count in 1..2 * FEW {
        let names: Vec<String> = (0..count).map(|n| format!(r#""f{n}":1"#)).collect();
        assert!(parse(&format!("{{{}}}", names.join(","))).is_ok());
        let twice = format!("{{{},{}}}", names.join(","), names[count / 2]);
        let JsonFault::Syntax(said) = parse(&twice).unwrap_err().fault else { panic!("{twice}") };
        assert!(said.starts_with(&format!("field `f{}` is there twice", count / 2)), "{said}");
    }
}
