"""The right values are known by construction: what stands apart by a bar is a sentence of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentence_order.data.sentences import WINDOW, split_sentences
from tests.properties import settings

ENGLISH = """
Mr. Brown had a plan. | It cost $3.50, i.e. 10% of his pay, to carry out! | Nobody liked it.
He lives in the U.S. and likes it. | He lives in the U.S. | They do. | J. R. R. Tolkien did. | She has a Ph.D. in it.
See fig. 2 and Vol. 3, e.g. the map at https://a.org/x.html?y=1.2. | Brown et al. disagree, cf. sec. 4. | So do I.
Wait... what? | No way?! | Then… he left. | Yahoo! is old. | He told me.
That was in May. | Then he said no. | No. 5 is ok. | It is fine art.
"Go!" he said. | “No,” she said. | 'Why?' he asked. | (Nobody knew.) | She left (see Fig. 3.). | It rained.
I sold it. | eBay was slow. | Was it? | iPhone users did not mind. | then they did.
1. Wash the rice. | 2. Boil it for approx. 5 minutes. | 3. Eat.
"""
LOWER_CASE = """
the cat sat . | then it slept . | was it tired ? | nobody knew ! | it snored ...
the cat sat. | then it slept. | was it tired? | nobody knew! | see fig. 2, e.g. the tail. | j. r. smith saw it.
we prove @xmath0 and @xmath1 . | @xmath2 is known @xcite , e . g . for 3.5 % of them ( brown et al . ) . | it holds .
" go home . " he said . | `` why ? '' she asked . | he left ( in a hurry ) . | i.e. he ran .
"""
SPACED_SCRIPTS = """
राम सुबह उठा। | उसने 3.5 रुपये दिए। | क्या वह बाज़ार गया? | हाँ, गया॥ | वह सो गया।
علی صبح اٹھا۔ | کیا وہ بازار گیا؟ | ہاں، وہ گیا۔ | سب سو گئے۔
استيقظ علي. | هل ذهب إلى السوق؟ | نعم، ذهب. | نام الجميع.
Արամը արթնացավ։ | Նա թեյ խմեց։ | Հետո գնաց շուկա։
አበበ በጠዋት ተነሳ። | ሻይ ጠጣ። | ወደ ገበያ ሄደ፧ | አዎ፣ ሄደ።
မောင်မောင် ထသည်။ | လက်ဖက်ရည်သောက်သည်။ | ဈေးသွားသည်။
សុខក្រោក។ | គាត់ផឹកតែ។ | គាត់ទៅផ្សារ៕
ཁོང་སྔ་པོ་ལངས། | ཇ་བཏུངས། | ཁྲོམ་ལ་ཕྱིན།
철수는 일어났다. | 시장에 갔을까? | 네, 갔습니다.
Иван встал. | Он пошёл на рынок? | Да, за 3,5 кг яблок.
Ο Νίκος ξύπνησε. | Πήγε στην αγορά; | Ναι, πήγε.
"""
UNSPACED_SCRIPTS = """
小明早上起得很早。 | 他去市场了吗？ | 他买了3.5公斤苹果。 | 他说：“今天很冷。” | （她笑了。） | 大家都睡了！
太郎は起きた。 | 市場へ行ったのか？ | 「今日は寒いですね。」 | みんな寝た｡ | 静かな夜だった。
"""


def cases(lines: str) -> list[list[str]]:
    return [line.split(" | ") for line in lines.splitlines() if line]


@pytest.mark.parametrize("sentences", cases(ENGLISH + LOWER_CASE + SPACED_SCRIPTS), ids=lambda case: case[0])
def test_sentences_joined_by_a_space_or_a_line_end_are_found_again(sentences: list[str]) -> None:
    assert split_sentences(" ".join(sentences)) == sentences
    assert split_sentences("\n".join(sentences)) == sentences


@pytest.mark.parametrize("sentences", cases(UNSPACED_SCRIPTS), ids=lambda case: case[0])
def test_scripts_without_spaces_are_split_at_their_marks(sentences: list[str]) -> None:
    assert split_sentences("".join(sentences)) == sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        (" \n\t", []),
        ("I didn't, he can't,\nand we won't.", ["I didn't, he can't, and we won't."]),
        (
            "A wrapped\nparagraph by Dr.\nSmith goes on. Here\r\nit ends.",
            ["A wrapped paragraph by Dr. Smith goes on.", "Here it ends."],
        ),
        ("He asked: Why?\nnobody knew.\nit was late.", ["He asked: Why?", "nobody knew.", "it was late."]),
        ("- first item\n- second item\n* third", ["- first item", "- second item", "* third"]),
        ("1) first\n2) second\n\nA paragraph", ["1) first", "2) second", "A paragraph"]),
        ("Half a pair: \ud800", ["Half a pair: \ud800"]),
    ],
)
def test_lines_and_white_space(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


MARKS = st.sampled_from(".?!…。！？ ។།;()[]（）“”\"'「」- é \n\r\u2028\u00a0\0\ud800")
WORDS = st.sampled_from(["e.g.", "me. ", "Dr. ", "\n1. ", "\n- ", "i"])


@settings(max_examples=300)
@given(st.lists(MARKS | WORDS | st.text(max_size=3)).map("".join))
def test_nothing_but_white_space_is_lost(text: str) -> None:
    sentences = split_sentences(text)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(sentence and sentence == " ".join(sentence.split()) for sentence in sentences)


@pytest.mark.parametrize(
    "unit", ["“", "(", "a", ".", "!?", " ", "\n", "我。", "a. ", "“a. ", "(a.", "e . ", "\n- ", "Dr. "]
)
def test_long_texts_are_read_in_windows_of_bounded_number(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sentencex

    text = (unit * 200_000)[:200_000]
    segment, lengths = sentencex.segment, []

    def record(language: str, window: str) -> list[str]:
        lengths.append(len(window))
        return segment(language, window)

    monkeypatch.setattr(sentencex, "segment", record)
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())
    assert max(lengths) <= WINDOW
    assert sum(lengths) <= 3 * len(text)


def test_windows_do_not_show_in_the_sentences() -> None:
    sentences = [f"Sentence {number} has {'many words ' * (number % 40)}to its end." for number in range(1000)]
    sentences[500] = "One is " + "longer than a window " * 1000 + "by far."
    assert split_sentences(" ".join(sentences)) == sentences
