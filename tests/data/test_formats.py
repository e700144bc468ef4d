"""What files look like in the wild: detection, dirt in the text, malformed lines."""

import numpy as np
import pytest

from drrl_jax.data import formats, parsing

DETECTED = {
    "1 2\n1 3\n": "pairs",
    "1 2\n2 3\n": "pairs",  # the same as adjacency, by either reading
    "1 2 3\n2 3\n": "adjacency",
    "1 2 3 4\n2\n3 4\n": "adjacency",
    "1 2 5\n1 3 4\n2 2 1\n": "ratings",
    "1\t2\n": "pairs",
    "1\t2\t5\t880\n": "ratings",
    "1,2,5.0,880\n": "ratings",
    "user_procid\titem_procid\n0\t1\n": "table",
    "userId,movieId,rating,timestamp\n1,2,3,4\n": "table",
    '"reviewerID","asin"\n"a","b"\n': "table",
    "user item\n1 2\n": "table",
    "user_id:token\titem_id:token\n1\t2\n": "atomic",
    "1::2::3::4\n": "movielens",
    "user1 item1\nuser1 item2\n": "pairs",
    "user_a item_b\nuser_a item_c\n": "pairs",
    "User-ID,ISBN,Book-Rating\n1,034545104X,0\n": "table",
}


@pytest.mark.parametrize("text", DETECTED)
def test_detection(text):
    assert formats.detect(text.split("\n")[:-1]).name == DETECTED[text]


@pytest.mark.parametrize(
    "text",
    [
        b"1 2\n1 3\n",
        b"1 2\n1 3",  # no end of line
        b"1 2\r\n1 3\r\n",
        b"\xef\xbb\xbf1 2\n1 3\n",  # byte order mark
        b"\n1 2\n\n1 3\n\n",
        b"1  2 \n 1\t3\n",
        b"user item\n1 2\n1 3\n",
        b"1,2\n1,3\n",
        b"1, 2\n1, 3\n",
        b"user_id,title,item_id\n1,a,2\n1,b,3\n",
        b"1::2::5::9\n1::3::4::9\n",
        b"1 2 3\n4\n",  # a user without items
        b"1 2\r1 3\r",  # lines of another age
        b"user_name,user_id,item_name,item_id\nAnn,1,Hamlet,2\nAnn,1,Hamlet,3\n",
    ],
)
def test_text_is_read_alike(text):
    columns = parsing.parse(text, "file")
    assert columns.users.tolist() == [1, 1]
    assert columns.items.tolist() == [2, 3]


MALFORMED = {
    b"1 2\n1 3\n1\n": r"f:3: expected 'user item' \(2 fields\), got 1 field in '1'",
    b"1 2\n1 3\n1 4 5\n": r"f:3: expected 'user item' \(2 fields\), got 3 fields",
    b"1 2\n1 x\n": r"f:2: expected an integer item id, got 'x'",
    b"1 2\n1 -3\n": r"f:2: expected an integer item id, got '-3'",
    b"1 2\n1 3.5\n": r"f:2: expected an integer item id, got '3.5'",
    b"user\titem\n1\t2\n\t3\n": r"f:3: expected 'user<tab>item'.*1 of them empty",
    b"1\t2\n\t3\t4\n": r"f:2: expected 'user<tab>item'.*3 fields, 1 of them empty",
    b"1\t2\t5\t880\n1\t3\tgood\t880\n": r"f:2: expected a number as rating, got 'good'",
    b"1\t2\t5\t880\n1\t3\tnan\t880\n": r"f:2: expected a number as rating, got 'nan'",
    b"1\t2\t5.0\n1\t3\t3.4.5\n": r"f:2: expected a number as rating, got '3.4.5'",
    b"1\t2\t5\t880.5\n1\t3\t4\t881\n": r"f:1: expected a whole number as timest",
    b"1\t2\t5\t99999999999999999999\n": r"f:1: expected a timestamp of at most 63",
    b"1\t2\t1e39\n1\t3\t4\n": r"f:1: expected a rating that float32 holds, got '1e39'",
    b"customer,sku\n1,2\n1,3\n": r"f:1: expected a user and an item, or a header",
    b"# comment\n1 2\n2 3\n": r"f:1: expected a user and an item, or a header",
    b"1 2 3.4.5\n": r"f:1: expected an integer item id, got '3.4.5'",
    b"userId,movieId,rating\n1,2,3\n1,,3\n": r"f:3: expected 'user,item,rating'",
    b"1\t2\t3\t4\t5\n": r"f:1: expected 2 to 4 fields",
    b"user item\n": r"f: expected interactions, got none after the header",
    b"1;2;5\n1;3;4\n": r"f:1: expected fields separated by .* got ';' between them",
    b"user;item;time\n0;0;2020-01-01 10:00\n": r"f:1: expected fields .* got ';'",
    b'user,item\nu1,i1\n"","i2"\n': r"f:3: expected 'user,item'.*1 of them empty",
    b"userId,movieId,rating\n1,2,3\n,3,3,4\n": r"f:3: expected 'user,item,rating'",
    b"": r"f: expected interactions, got an empty file",
    b" \n\n": r"f: expected interactions, got an empty file",
    b"1 2\n1 \xff\n": r"f:2: expected UTF-8 text, got byte 0xff",
    b"userId,title\n1,2\n": r"f:1: expected a header that names a user and an item",
    b"user_id:token\trating:float\n1\t2\n": r"f:1: expected a header that names",
}


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_text_is_one_sentence(text):
    with pytest.raises(ValueError, match=MALFORMED[text]):
        parsing.parse(text, "f")


def test_what_looks_like_adjacency_at_first_only():
    lines = [f"{user} {item} 5" for user in range(1001) for item in (1,)]
    text = "\n".join([*lines, "0 7 4"]).encode()
    with pytest.raises(ValueError, match="f:1002: expected one line a user .* '0' of"):
        parsing.parse(text, "f")
    assert len(parsing.parse(text, "f", format="ratings")) == 1002


def test_points_in_ids_are_text_in_both_parsers():
    bulk = parsing.parse(b"user,item,rating\n1.0,2.0,3\n", "f")
    lines = parsing.parse(b"user,item,rating\n1.0,2.0,-3\n", "f")
    assert bulk.users.tolist() == lines.users.tolist() == ["1.0"]


def test_nanoseconds_keep_their_last_digit():
    columns = parsing.parse(b"1\t2\t5\t1523456789123456789\n1\t3\t4\t1e9\n", "f")
    assert columns.timestamps.tolist() == [1523456789123456789, 10**9]


def test_ids_as_asked():
    text = b"007 1\n007 2\n8 1\n"
    assert parsing.parse(text, "f", ids="string").users.tolist() == ["007", "007", "8"]
    # 007 is not how an integer is written, so the column holds strings.
    assert parsing.parse(text, "f").users.dtype.kind == "U"
    atomic = b"user_id:token item_id:token\n1 2\n1 x\n"
    assert parsing.parse(atomic, "f").items.tolist() == ["2", "x"]
    huge = str(2**60)
    assert parsing.parse(f"{huge} 1\n".encode(), "f").users.tolist() == [2**60]


def test_the_format_can_be_forced():
    text = b"1 2 5\n1 3 4\n"
    assert parsing.parse(text, "f", format="adjacency").items.tolist() == [2, 5, 3, 4]
    assert parsing.parse(text, "f").items.tolist() == [2, 3]
    with pytest.raises(ValueError, match="format must be one of pairs.*got 'csv'"):
        parsing.parse(text, "f", format="csv")
    with pytest.raises(
        ValueError, match="ids must be one of auto.*Did you mean 'integer'"
    ):
        parsing.parse(text, "f", ids="int")


@pytest.mark.parametrize("name", ["pairs", "adjacency", "ratings", "movielens"])
def test_bulk_and_line_parsers_agree(name):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 50, (200, 2))
    extra = np.stack([rng.integers(2, 11, 200) / 2, rng.integers(1, 10**9, 200)], 1)
    if name == "adjacency":
        lines = [f"{u} " + " ".join(map(str, rows[u, :])) for u in range(50)]
        layout = formats.named_format(name, lines)
    elif name == "pairs":
        lines = [f"{u} {i}" for u, i in rows]
        layout = formats.named_format(name, lines)
    else:
        joint = "::" if name == "movielens" else "\t"
        lines = [
            joint.join((str(u), str(i), str(r), str(int(t))))
            for (u, i), (r, t) in zip(rows, extra)
        ]
        layout = formats.named_format(name, lines)
    text = "\n".join(lines)
    bulk = parsing._parse_bulk(text.encode(), layout)
    slow = parsing._parse_lines(text, layout, "f", "auto")
    for column in ("users", "items", "ratings", "timestamps"):
        np.testing.assert_array_equal(getattr(bulk, column), getattr(slow, column))


def test_words_above_words_are_a_user_and_an_item():
    found = parsing.parse(b"ann,book\nbob,film\n", "f")
    assert found.users.tolist() == ["ann", "bob"]
    # Whole stamps may have a point.
    found = parsing.parse(b"1\t2\t5\t880.0\n1\t3\t4\t881.0\n", "f")
    assert found.timestamps.tolist() == [880, 881]


@pytest.mark.parametrize("mark", ["\t", ","])
def test_lists_of_items_between_tabs_or_commas_are_no_ratings(mark):
    of_one_length = [mark.join(map(str, (u, u, u + 1, u + 2))) for u in range(40)]
    for lines in (of_one_length, [mark.join("0567"), mark.join("19")]):
        text = "\n".join(lines).encode()
        with pytest.raises(ValueError, match="f:1: .* format=adjacency reads it so"):
            parsing.parse(text, "f")
        expected = parsing.parse(text.replace(mark.encode(), b" "), "f")
        for spaced in (text, text.replace(b",", b", ")):
            columns = parsing.parse(spaced, "f", format="adjacency")
            np.testing.assert_array_equal(columns.users, expected.users)
            np.testing.assert_array_equal(columns.items, expected.items)
    one_a_user = [
        mark.join(map(str, (u, 40 - u, u % 5 + 1, 900 + u))) for u in range(40)
    ]
    assert parsing.parse("\n".join(one_a_user).encode(), "f").ratings is not None
    with pytest.raises(
        ValueError, match="f:2: expected 'user item item …', got 3 fields, 1 of"
    ):
        parsing.parse(b"1,2,3\n2,,3\n", "f", format="adjacency")


def test_quoted_fields_hold_commas_and_pairs_of_quotes():
    text = b'"Smith, Ann",154\n"Smith, Bob",160\n"say ""hi""",154\n'
    columns = parsing.parse(text, "names.csv")
    assert columns.users.tolist() == ["Smith, Ann", "Smith, Bob", 'say "hi"']
    assert columns.items.tolist() == [154, 160, 154]
    assert columns.ratings is None
    header = b'"user_id","title","item_id"\n7,"Cats, the film",3\n8,Dogs,4\n'
    columns = parsing.parse(header, "titles.csv")
    assert columns.users.tolist() == [7, 8] and columns.items.tolist() == [3, 4]
    assert columns.layout.left_out == ("title",)


def test_quotes_of_the_value_stay_between_commas():
    columns = parsing.parse(b'"""a""",1\na,2\n\'b\',3\n', "x.csv", ids="string")
    assert columns.users.tolist() == ['"a"', "a", "b"]


def test_a_quote_without_a_partner_belongs_to_its_id():
    columns = parsing.parse(b"u\tDogs\nu\tDogs'\nv\t'Cats\nv\t'Cats'\n", "x.tsv")
    assert columns.items.tolist() == ["Dogs", "Dogs'", "'Cats", "Cats"]


def test_quotes_that_stay_open_are_refused():
    with pytest.raises(ValueError, match=r"x.csv:2: expected double quotes that open"):
        parsing.parse(b'"a, b",1\n"c, d,2\n', "x.csv")


@pytest.mark.parametrize("line", ['{"item": 0, "user": 1}', "[[1, 2], [1, 3]]"])
def test_json_is_refused(line):
    with pytest.raises(ValueError, match=r"x:1: .* got JSON in"):
        parsing.parse(f"{line}\n{line}\n".encode(), "x")


@pytest.mark.parametrize("user", [2**53 + 1, 10**16 + 1, 2**63 - 1])
def test_ids_that_float64_does_not_hold_keep_their_last_digit(user):
    columns = parsing.parse(f"{user} 1\n{user} 2\n".encode(), "f")
    assert columns.users.tolist() == [user, user]


def test_ids_that_int64_does_not_hold_are_text():
    columns = parsing.parse(f"{2**63} 1\n{2**63} 2\n".encode(), "f")
    assert columns.users.tolist() == [str(2**63)] * 2


def test_as_many_long_lines_as_short_ones_are_read_as_the_first():
    assert formats.detect(["1 2", "1 3 4"]).name == "pairs"
    assert formats.detect(["1 3 4", "1 2"]).name == "ratings"


@pytest.mark.parametrize(
    "text",
    ["# exported\n0\t1\n0\t2\n", "My ratings\nuser_id,item_id,rating\n0,1,3\n0,2,4\n",
     "#\n0,1\n", "# exported\nuser_id\titem_id\n0\t1\n",
     "a title of five words\n0\t1\n0\t2\n"],
)  # fmt: skip
def test_a_title_above_the_data_is_refused(text):
    with pytest.raises(ValueError, match=":1: expected .*, got"):
        formats.detect(text.splitlines())
