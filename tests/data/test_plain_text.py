"""Plain text is told from other formats by its beginning, and other formats are named with the key that reads them."""

from pathlib import Path

import pytest

from sentence_order.data.formats import find_format, format_by_name
from sentence_order.data.layout import Layout
from sentence_order.data.readers import read_documents
from sentence_order.errors import UserError

PROSE = [
    "He came.\nHe saw.\n\nHe left.\n",
    "Roses, red\nViolets, blue\nSugar, sweet\n",
    "Yes, he said.\nNo, she said.\n",
    "Once upon a time; yes,\nlong ago; no,\n",
    "\tHe came, he saw.\n\tHe left, late.\n",
    "[Music] He came.\n[Noise] He left.\n",
    "[[Category:Cakes]]\nMix it.\n",
    "{name} came.\n",
    "1,2 litres of milk.\n1,5 litres of water.\n",
    "One\nTwo\nThree\n",
    "<b>He</b> came.\nHe left.\n",
    "Roses,red\nViolets,blue\n",
    "Peel,chop\nBoil it,serve it\nEat it,all\n",
    "Rose\tRed flower\nViolet\tBlue flower\nDaisy\tWhite flower\n",
    "Anna;Otto\nHe came;she left\n",
    "Mix, stir, bake\nCut it, eat it, go\nMix, stir it, bake\nCut, eat it, go\nA, b, c d\n",
    '["Hello," he said]\n["No," she said]\n',
    "['Tis the season]\n",
    '{"name"} came home.\n',
    "[1]\n[2]\n",
    "Step 1, peel\nStep 2, boil it\nStep 3, eat it\n",
    "<p> is a tag.\nIt closes with </p>.\n",
    "",
]


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_taken_for_text(tmp_path: Path, text: str) -> None:
    assert find_format(text) == "text"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('["He came.", "He left."]\n', "jsonl"),
        ("['He came.', 'He left.']\n", "jsonl"),
        ('[["He came."]]', "jsonl"),
        ('[\n {\n  "id": 1', "jsonl"),
        ('{"id": 1}\n', "jsonl"),
        ("id,text\n1,He came.\n2,He left.\n", "csv"),
        (",title,text\n0,Cake,He came.\n", "csv"),
        ("Story ID\tSentence 1\n7\tHe came.\n", "csv"),
        ('id;s1\n1;"He came; he left."\n2;"He\nsat."\n', "csv"),
        ("id | text\n1 | He came.\n2 | He left.\n", "csv"),
        ("id,s1,s2\n1,He came.\n2,He left.,She left.\n", "csv"),
        ("sentence (1),sentence (2)\nHe came.,He left.\n", "csv"),
        ("sep=;\none;two;three\nHe came;a;b\nHe left;a;b\nHe sat;a;b\n", "csv"),
        ("\nid,text\n1,He came.\n", "csv"),
        ("{'sentences': ['He came.', 'He left.']}\n", "jsonl"),
        ('["He came.",\n "He left."]', "jsonl"),
        ('["' + "He came. " * 9999, "jsonl"),
    ],
)
def test_other_formats_are_named_with_their_key(tmp_path: Path, text: str, found: str) -> None:
    assert find_format(text) == found
    (tmp_path / "stories.txt").write_text(text)
    insist = "data=text data.any_text=true reads it as text"
    with pytest.raises(UserError, match=rf"stories\.txt: .*, not plain text; data={found} reads it; {insist}"):
        list(read_documents(str(tmp_path / "stories.txt"), "text", Layout()))
    with pytest.raises(UserError, match=f"; format={found} reads it; format=text reads it as text"):
        list(read_documents(str(tmp_path / "stories.txt"), "text", Layout(prefix="")))
    assert list(read_documents(str(tmp_path / "stories.txt"), "text", Layout(any_text=True)))


def test_a_mark_between_sentences_makes_a_line_a_document(tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text(
        "He came . <eos> He left .\nShe sat . <eos> She rose . <eos> \n\nAll <eos> slept\n"
    )
    documents = list(read_documents(str(tmp_path / "dev.tsv"), "text", Layout()))
    assert [document.sentences for document in documents] == [
        ["He came .", "He left ."],
        ["She sat .", "She rose .", ""],
        ["All", "slept"],
    ]
    assert documents[2].id == f"{tmp_path}/dev.tsv:4"
    (tmp_path / "a.txt").write_text("He wrote:\n<eos> ends a text.\n")
    assert len(list(read_documents(str(tmp_path / "a.txt"), "text", Layout()))) == 1


def test_a_mark_is_found_in_any_case_and_below_a_heading(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A trip\nHe came. <EOS> He left.\nShe sat. <eos> She rose.\n")
    documents = read_documents(str(tmp_path / "a.txt"), "text", Layout())
    assert [document.sentences for document in documents] == [
        ["A trip"],
        ["He came.", "He left."],
        ["She sat.", "She rose."],
    ]


def test_each_line_may_be_a_document_of_running_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("He came. He left.\n\nShe sat. She rose.\nAll slept.\n")
    documents = read_documents(str(tmp_path / "a.txt"), "text", Layout(text_layout="documents"))
    assert [document.sentences for document in documents] == [
        ["He came.", "He left."],
        ["She sat.", "She rose."],
        ["All slept."],
    ]


def test_prose_is_read_under_any_name_and_a_header_is_not(tmp_path: Path) -> None:
    for name in ("a.csv", "a.tsv", "a.json"):
        (tmp_path / name).write_text("He came, and left.\nThen it rained.\n")
        assert len(list(read_documents(str(tmp_path / name), "text", Layout()))) == 1
    (tmp_path / "a.csv").write_text("story\nHe came.\n")
    with pytest.raises(UserError, match=r"for a file of this name: data=csv; .*data\.any_text=true"):
        list(read_documents(str(tmp_path / "a.csv"), "text", Layout()))
    assert list(read_documents(str(tmp_path / "a.csv"), "text", Layout(any_text=True)))


def test_files_of_other_formats_than_expected_are_named(tmp_path: Path) -> None:
    texts = {
        "csv": "id,text\n1,He came.\n",
        "jsonl": '{"text": "He came. <eos> He left."}\n',
        "text": "Come <eos> go\n",
    }
    for found, text in texts.items():
        (tmp_path / "stories").write_text(text)
        assert find_format(text) == found
        for expected in {"csv", "jsonl", "parquet"} - {found}:
            with pytest.raises(UserError, match=rf"stories: holds .*, not .*; data={found} reads it"):
                list(read_documents(str(tmp_path / "stories"), expected, Layout(text_column="text")))


def test_a_name_shows_a_format() -> None:
    names = {"a.jsonl": "jsonl", "a.JSON.bz2": "jsonl", "a.tsv.zip": "csv", "a.csv.xz": "csv", "a.txt.gz": "text"}
    assert {name: format_by_name(name) for name in names} == names
    assert format_by_name("a.dat") is None
