"""The page as a reader meets it: opened from a file in a real browser."""

import pytest

from bilateral.report.page import render
from browser import open_browser, watch

from . import example

DARK_PAGE, LIGHT_PAGE = "rgb(21, 23, 27)", "rgb(253, 253, 251)"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
VISIBLE_INK = """canvas => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const opaque = pixels.filter((_, place) => place % 4 === 3).every(alpha => alpha === 255);
  return [opaque, new Set(pixels).size];
}"""
PIXELS = "canvas => canvas.toDataURL()"


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(render(example.page()), encoding="utf-8")
    return file.as_uri()


@pytest.fixture
def visit(browser, address):
    """Open the page; it must not complain, nor ask for any other file, until the test ends."""
    opened = []

    def open_page(width=1280, height=900, **options):
        page = browser.new_page(viewport={"width": width, "height": height}, **options)
        complaints, requests = watch(page), []
        page.on("request", lambda request: requests.append(request.url.split("#")[0]))
        opened.append((page, complaints, requests))
        page.goto(address)
        return page

    yield open_page
    for page, complaints, requests in opened:
        page.close()
        assert not complaints, complaints
        assert {url for url in requests if not url.startswith("data:")} == {address}


def column(page, number):
    return page.locator(f"#main tbody tr > :nth-child({number})").all_inner_texts()


def means(texts):
    return [float(text.split()[0]) for text in texts if text != "–"]


def shown(page):
    return [
        int(alt.rpartition(" ")[2]) for alt in page.eval_on_selector_all("#thumbnails img", "e => e.map(i => i.alt)")
    ]


def images(**wanted):
    return [
        image["image"]
        for image in example.gallery().images
        if all(image[name] == value for name, value in wanted.items())
    ]


def select_image(page, number=0):
    page.locator("#thumbnails button").nth(number).click()
    title = example.gallery().images[number]
    page.get_by_text(f"superclass {title['coarse']}, test image {title['image']}", exact=True).wait_for()


def test_a_click_sorts_numbers_down_then_up_then_not_at_all(visit):
    page = visit()
    original = column(page, 1)
    button = page.get_by_role("columnheader", name="fine", exact=True).get_by_role("button")
    header = page.locator("#main thead th").nth(2)
    for order in ("descending", "ascending"):
        button.click()
        assert header.get_attribute("aria-sort") == order
        found = column(page, 3)
        assert found[-1] == "–" and means(found) == sorted(means(found), reverse=order == "descending")
        assert sorted(column(page, 1)) == sorted(original)
    button.click()
    assert header.get_attribute("aria-sort") is None and column(page, 1) == original


def test_numbers_are_sorted_by_value_whatever_their_text(visit):
    page = visit()
    page.locator("#main thead button").last.click()
    # 1,404,564 would be less than 904,564 as a text.
    assert column(page, 1) == list(example.ROWS)[::-1]


def test_the_keyboard_sorts_words(visit):
    page = visit()
    page.locator("#main thead button").first.focus()
    for key, reverse in (("Enter", False), ("Space", True)):
        page.keyboard.press(key)
        names = [name.replace(",", "") for name in column(page, 1)]
        assert names == sorted(names, reverse=reverse)


def test_only_one_column_is_sorted(visit):
    page = visit()
    for number in (2, 3):
        page.locator("#main thead button").nth(number).click()
    assert page.locator("#main [aria-sort]").count() == 1
    assert column(page, 4)[-1] == "–"


def test_figures_are_to_be_seen_and_follow_the_theme(visit):
    page = visit(color_scheme="dark")
    figures = page.locator(".scroll > svg[role=img]")
    assert figures.count() == 3 and page.locator("svg.idea").is_visible()
    for figure in figures.all():
        figure.scroll_into_view_if_needed()
        box = figure.bounding_box()
        assert box["width"] > 400 and box["height"] > 100
    ink = figures.first.locator("text").first.evaluate("element => getComputedStyle(element).fill")
    assert ink == "rgb(231, 230, 225)"
    assert figures.first.locator("text").first.evaluate("e => getComputedStyle(e).fontFamily").startswith("system-ui")


def test_the_image_of_a_matrix_is_decoded(visit):
    page = visit()
    sizes = page.eval_on_selector_all(
        "svg image",
        "all => Promise.all(all.map(e => { const i = new Image(); i.src = e.href.baseVal; "
        "return i.decode().then(() => i.naturalWidth); }))",
    )
    assert sizes and all(sizes)


def test_pictures_and_maps_are_to_be_seen(visit):
    page = visit()
    select_image(page, 3)
    pictures = page.eval_on_selector_all(
        "#thumbnails img, #detail img", "e => Promise.all(e.map(i => i.decode().then(() => i.naturalWidth)))"
    )
    assert len(pictures) == 49 and set(pictures) == {32}
    canvases = page.locator("#detail canvas")
    assert canvases.count() == 5
    for canvas in canvases.all():
        opaque, colours = canvas.evaluate(VISIBLE_INK)
        assert opaque and colours > 50 and canvas.bounding_box()["width"] > 60
    assert len({canvas.evaluate(PIXELS) for canvas in canvases.all()}) == 5


def test_the_slider_goes_from_the_picture_to_the_map(visit):
    page = visit()
    select_image(page)
    drawn = {}
    for strength in ("0", "100"):
        page.locator("#opacity").fill(strength)
        drawn[strength] = [canvas.evaluate(PIXELS) for canvas in page.locator("#detail canvas").all()]
    assert len(set(drawn["0"])) == 1 and len(set(drawn["100"])) == 5
    select_image(page, 1)
    assert page.locator("#opacity").input_value() == "100"


def test_a_cell_shows_its_images_alone(visit):
    page = visit()
    for cell in ("1010", "0000"):
        button = page.locator(f"[data-cell='{cell}']")
        assert int(button.inner_text()) == len(images(cell=cell)) > 0
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert page.locator("[aria-pressed=true][data-cell]").count() == 1
        assert shown(page) == images(cell=cell)
    assert page.locator("#summary").inner_text() == f"{len(shown(page))} images: neither right alone, no head right"
    assert page.locator("[data-cell='0011']").is_disabled()
    counts = page.locator("[data-cell]").all_inner_texts()
    assert len(counts) == 16 and sum(map(int, counts)) == example.IMAGES
    page.locator("[data-cell='0000']").click()
    assert shown(page) == images()[:48]


def test_superclass_and_class_show_their_images_alone(visit):
    page = visit()
    superclass, fine = page.get_by_label("Superclass"), page.get_by_label("Class", exact=True)
    assert superclass.locator("option").count() == 1 + len(example.SUPERCLASSES)
    superclass.select_option("star")
    assert shown(page) == images(coarse="star")
    assert [text.split(" (")[0] for text in fine.locator("option").all_inner_texts()] == [
        "all",
        *[name for name in example.CLASSES if name.endswith("star")],
    ]
    fine.select_option("dotted star")
    assert shown(page) == images(fine="dotted star")
    page.locator("[data-cell='0101']").click()
    assert shown(page) == images(fine="dotted star", cell="0101")
    page.get_by_role("button", name="Show all").click()
    assert shown(page) == images()[:48] and superclass.input_value() == ""


def test_more_shows_the_rest(visit):
    page = visit()
    assert shown(page) == images()[:48]
    page.get_by_role("button", name="More (12)").click()
    assert shown(page) == images() and page.locator("#more").is_hidden()
    assert page.evaluate("[...document.querySelectorAll('#thumbnails button')].indexOf(document.activeElement)") == 48


def test_arrows_lead_among_thumbnails(visit):
    page = visit()
    stops = page.locator("#thumbnails button[tabindex='0']")
    assert stops.count() == 1
    stops.focus()
    place = "[...document.querySelectorAll('#thumbnails button')].indexOf(document.activeElement)"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    below = page.evaluate(place)
    assert below > 2
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(place) == 0
    page.keyboard.press("End")
    assert page.evaluate(place) == 47 and stops.count() == 1
    page.keyboard.press("Enter")
    page.get_by_text("test image 147", exact=False).first.wait_for()
    assert page.locator("#thumbnails [aria-pressed=true]").count() == 1


def test_detail_says_who_was_right_in_words(visit):
    page = visit()
    number = images(cell="1010")[0] - 100
    select_image(page, number)
    image = example.gallery().images[number]
    titles = page.locator("#detail h4").all_inner_texts()
    assert [" ".join(title.split()) for title in titles] == [
        "Left alone ✓ right",
        "Right alone ✗ wrong",
        "Fine head ✓ right",
        "Coarse head ✗ wrong",
        "Share of each hemisphere in each head",
    ]
    first = page.locator("[data-speaker=fine] li").first
    assert first.inner_text().split("\n") == [f"{image['fine']} ✓ true", "61 %"]
    share = round(100 * image["shares"]["fine"])
    assert f"left {share} %, right {100 - share} %" in page.locator(".shares li").first.inner_text()
    widths = [page.locator(".shares .bar").first.locator("span").nth(side).bounding_box()["width"] for side in (0, 1)]
    assert widths[0] / sum(widths) == pytest.approx(image["shares"]["fine"], abs=0.02)


def test_the_theme_is_the_systems_until_it_is_chosen(visit):
    page = visit(color_scheme="dark")
    assert page.evaluate(BACKGROUND) == DARK_PAGE
    page.get_by_role("button", name="Light theme").click()
    assert page.evaluate(BACKGROUND) == LIGHT_PAGE
    page.get_by_role("button", name="Dark theme").click()
    assert page.evaluate(BACKGROUND) == DARK_PAGE
    assert visit(color_scheme="light").evaluate(BACKGROUND) == LIGHT_PAGE


def test_a_phone_scrolls_no_more_than_down(visit):
    page = visit(width=360, height=740)
    page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    right_ends = page.eval_on_selector_all("caption span", "all => all.map(e => e.getBoundingClientRect().right)")
    assert len(right_ends) == 2 and max(right_ends) <= 360
    select_image(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    figure = page.locator(".analysis .scroll").first
    assert figure.evaluate("box => box.scrollWidth > box.clientWidth && box.tabIndex === 0")


def test_on_paper_everything_is_open_and_light(visit):
    page = visit(color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.evaluate(BACKGROUND) == LIGHT_PAGE
    assert page.locator("details:not([open])").count() == 0 and page.locator("#explorer").is_hidden()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_a_script_that_is_not_the_pages_own_does_not_run(browser, tmp_path):
    html = render(example.page(gallery=None, sections=[])).replace(
        "</main>", "<script>window.hostile = 1</script></main>"
    )
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    assert page.evaluate("window.hostile") is None
    assert (
        page.get_by_role("button", name="Dark theme").or_(page.get_by_role("button", name="Light theme")).is_visible()
    )
    page.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 360)])
def test_axe_finds_nothing(visit, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = visit(width=width, color_scheme=scheme)
    select_image(page)
    page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
    results = axe.Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
