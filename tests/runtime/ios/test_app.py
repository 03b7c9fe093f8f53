"""The app's project, written by hand: what Xcode would find in it, and what the app says. No Swift is needed for it."""

from __future__ import annotations

import os
import plistlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from openstep_parser import OpenStepDecoder
from worlds.paths import ROOT

from ondevice_sora.commands.main import VERBS

PACKAGE = ROOT / "runtime" / "ios"
APP = PACKAGE / "App"
PROJECT = APP / "Sora.xcodeproj"
TEXT = (PROJECT / "project.pbxproj").read_text(encoding="utf-8")
DOCUMENT: dict[str, Any] = OpenStepDecoder.ParseFromString(TEXT)
OBJECTS: dict[str, dict[str, Any]] = DOCUMENT["objects"]
IDENTIFIER = re.compile(r"[0-9A-F]{24}")


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {key: each for key, each in OBJECTS.items() if each["isa"] == kind}


def the_only(kind: str) -> dict[str, Any]:
    (found,) = of_kind(kind).values()
    return found


def texts_in(value: Any) -> Iterator[str]:
    """Every key and value of a plist."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield key
            yield from texts_in(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from texts_in(inside)
    else:
        yield value


def settings(owner: dict[str, Any]) -> list[dict[str, Any]]:
    """The settings of a target or a project, one for each configuration, those of its .xcconfig included."""
    configurations = [OBJECTS[key] for key in OBJECTS[owner["buildConfigurationList"]]["buildConfigurations"]]
    assert [each["name"] for each in configurations] == ["Debug", "Release"]
    return [{**based_on(each), **each["buildSettings"]} for each in configurations]


def based_on(configuration: dict[str, Any]) -> dict[str, str]:
    if "baseConfigurationReference" not in configuration:
        return {}
    path = APP / OBJECTS[configuration["baseConfigurationReference"]]["path"]
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] not in "/#"]
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}


# The project file


def test_every_object_has_an_id_of_its_own_and_is_used() -> None:
    defined = re.findall(r"^\t\t([0-9A-F]{24})(?: /\*.*?\*/)? = \{", TEXT, re.MULTILINE)
    assert sorted(defined) == sorted(set(OBJECTS)), "an id stands twice, or is not written as the others"
    used = {text for each in OBJECTS.values() for text in texts_in(each) if IDENTIFIER.fullmatch(text)}
    used.add(DOCUMENT["rootObject"])
    assert used - set(OBJECTS) == set()
    assert set(OBJECTS) - used == set()


def test_it_is_a_project_of_xcode_16() -> None:
    assert (DOCUMENT["objectVersion"], DOCUMENT["archiveVersion"]) == ("77", "1")
    assert OBJECTS[DOCUMENT["rootObject"]]["isa"] == "PBXProject"
    assert the_only("PBXNativeTarget")["productType"] == "com.apple.product-type.application"


def test_every_file_that_it_names_is_there() -> None:
    group = OBJECTS[the_only("PBXProject")["mainGroup"]]
    children = [OBJECTS[key] for key in group["children"]]
    named = [each["path"] for each in children if each["isa"] != "PBXGroup"]
    assert sorted(named) == ["Info.plist", "Sora", "Sora.entitlements", "Sora.xcconfig", "copy-export"]
    assert [name for name in named if not (APP / name).exists()] == []


def test_the_target_takes_the_folder_of_sources_as_it_is() -> None:
    """New files need no change of the project. What Xcode would copy as a resource does not lie among them."""
    (key,) = of_kind("PBXFileSystemSynchronizedRootGroup")
    assert the_only("PBXNativeTarget")["fileSystemSynchronizedGroups"] == [key]
    files = [path for path in (APP / OBJECTS[key]["path"]).rglob("*") if path.is_file()]
    assert len(files) > 5
    assert {path.suffix for path in files} == {".swift"}
    assert sum("@main" in path.read_text(encoding="utf-8") for path in files) == 1


def test_the_package_and_its_products_are_those_beside_it() -> None:
    package = the_only("XCLocalSwiftPackageReference")
    (key,) = of_kind("XCLocalSwiftPackageReference")
    assert (APP / package["relativePath"]).resolve() == PACKAGE.resolve()
    assert the_only("PBXProject")["packageReferences"] == [key]
    declared = re.findall(r'\.library\(name: "(\w+)"', (PACKAGE / "Package.swift").read_text(encoding="utf-8"))
    products = of_kind("XCSwiftPackageProductDependency")
    assert {each["productName"] for each in products.values()} <= set(declared)
    assert {each["package"] for each in products.values()} == {key}
    assert set(the_only("PBXNativeTarget")["packageProductDependencies"]) == set(products)
    linked = {OBJECTS[each]["productRef"] for each in the_only("PBXFrameworksBuildPhase")["files"]}
    assert linked == set(products)


def test_the_app_imports_no_other_module_of_the_package_than_it_links() -> None:
    imported = {
        name
        for path in (APP / "Sora").rglob("*.swift")
        for name in re.findall(r"^import (Sora\w+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert imported == {each["productName"] for each in of_kind("XCSwiftPackageProductDependency").values()}


def test_its_settings() -> None:
    for project, target in zip(settings(the_only("PBXProject")), settings(the_only("PBXNativeTarget")), strict=True):
        assert (project["IPHONEOS_DEPLOYMENT_TARGET"], project["SDKROOT"]) == ("18.0", "iphoneos")
        assert project["SWIFT_VERSION"] == "6.0"
        assert project["ENABLE_USER_SCRIPT_SANDBOXING"] == "NO", "copy-export could not read the export"
        assert target["INFOPLIST_FILE"] == "Info.plist"
        assert target["CODE_SIGN_ENTITLEMENTS"] == "Sora.entitlements"
        assert target["DEVELOPMENT_TEAM"] == ""
        assert target["PRODUCT_BUNDLE_IDENTIFIER"] == "org.example.ondevice-sora"
    manifest = (PACKAGE / "Package.swift").read_text(encoding="utf-8")
    assert ".iOS(.v18)" in manifest


def test_a_team_and_a_name_of_ones_own_stay_out_of_git() -> None:
    assert '#include? "Local.xcconfig"' in (APP / "Sora.xcconfig").read_text(encoding="utf-8")
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/runtime/ios/App/Local.xcconfig", "/runtime/ios/App/Export/"} <= set(ignored)
    for setting in ("DEVELOPMENT_TEAM", "PRODUCT_BUNDLE_IDENTIFIER", "CODE_SIGN_ENTITLEMENTS"):
        assert f"{setting} =" not in TEXT, "in the project it would win over the file"


def test_the_scheme_runs_the_app_without_a_debugger() -> None:
    """With a debugger neither times nor what iOS makes of the app's memory are those of a user's."""
    scheme = ElementTree.parse(PROJECT / "xcshareddata" / "xcschemes" / "Sora.xcscheme").getroot()
    targets = {each.attrib["BlueprintIdentifier"] for each in scheme.iter("BuildableReference")}
    assert targets == set(of_kind("PBXNativeTarget"))
    launch = scheme.find("LaunchAction")
    assert (launch.attrib["selectedDebuggerIdentifier"], launch.attrib["buildConfiguration"]) == ("", "Release")
    profile = scheme.find("ProfileAction")
    assert profile.find("BuildableProductRunnable") is not None, "Product > Profile would not know what to start"
    assert profile.attrib["buildConfiguration"] == "Release"


# Property lists


def test_the_property_list_shares_the_documents_folder() -> None:
    values = plistlib.loads((APP / "Info.plist").read_bytes())
    assert values["UIFileSharingEnabled"] is True
    assert values["LSSupportsOpeningDocumentsInPlace"] is True
    assert values["CFBundlePackageType"] == "APPL"
    assert values["UILaunchScreen"] == {}
    assert values["UIApplicationSceneManifest"] == {"UIApplicationSupportsMultipleScenes": False}
    known = {"EXECUTABLE_NAME", "PRODUCT_BUNDLE_IDENTIFIER", "PRODUCT_NAME", "MARKETING_VERSION"}
    known.add("CURRENT_PROJECT_VERSION")
    assert set(re.findall(r"\$\((\w+)\)", (APP / "Info.plist").read_text(encoding="utf-8"))) == known
    target = settings(the_only("PBXNativeTarget"))[0]
    assert {"MARKETING_VERSION", "CURRENT_PROJECT_VERSION", "PRODUCT_NAME"} <= set(target)


def test_saving_a_shared_video_to_the_photos_is_allowed_to_ask() -> None:
    """The share sheet's "Save Video" ends an app that does not say what it wants with the photos."""
    values = plistlib.loads((APP / "Info.plist").read_bytes())
    shares = [path for path in (APP / "Sora").rglob("*.swift") if "ShareLink(" in path.read_text(encoding="utf-8")]
    assert shares
    assert len(values["NSPhotoLibraryAddUsageDescription"]) > 20
    assert "NSPhotoLibraryUsageDescription" not in values, "photos are added, never read"


def test_a_question_belongs_to_a_control() -> None:
    """On a Section a modifier is each row's: the question would be asked more than once."""
    for path in sorted((APP / "Sora").rglob("*.swift")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if ".confirmationDialog(" not in line:
                continue
            before = [each.strip() for each in lines[:number] if not each.strip().startswith((".", "//"))]
            assert before[-1].startswith("Button("), path.name


def test_the_entitlement_is_the_one_for_more_memory_and_no_other() -> None:
    values = plistlib.loads((APP / "Sora.entitlements").read_bytes())
    assert values == {"com.apple.developer.kernel.increased-memory-limit": True}


# The export in the bundle


def copied(sources: Path, bundle: Path) -> str:
    """Runs the build phase as Xcode does; what it says."""
    names = {"SRCROOT": sources, "TARGET_BUILD_DIR": bundle, "UNLOCALIZED_RESOURCES_FOLDER_PATH": "Sora.app"}
    environment = {**os.environ, **{name: str(value) for name, value in names.items()}}
    phase = the_only("PBXShellScriptBuildPhase")
    assert phase["shellScript"] == '"$SRCROOT/copy-export"\\n' or phase["shellScript"] == '"$SRCROOT/copy-export"\n'
    (sources / "copy-export").symlink_to(APP / "copy-export")
    command = ["/bin/sh", "-c", '"$SRCROOT/copy-export"']
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "App").mkdir()
    return tmp_path / "App"


def test_an_export_in_the_apps_folder_is_bundled_as_it_is(sources: Path, tmp_path: Path) -> None:
    (sources / "Export" / "a.mlpackage").mkdir(parents=True)
    (sources / "Export" / "manifest.json").write_text("{}")
    (sources / "Export" / "a.mlpackage" / "weights").write_text("1")
    old = tmp_path / "Sora.app" / "Exports" / "small" / "old.mlpackage"
    old.mkdir(parents=True)
    assert copied(sources, tmp_path) == ""
    bundled = tmp_path / "Sora.app" / "Exports" / "small"
    assert sorted(path.name for path in bundled.rglob("*")) == ["a.mlpackage", "manifest.json", "weights"]


def test_without_an_export_the_build_says_so_and_goes_on(sources: Path, tmp_path: Path) -> None:
    (tmp_path / "Sora.app" / "Exports" / "small").mkdir(parents=True)
    assert copied(sources, tmp_path).startswith("warning: the app is built without a model")
    assert not (tmp_path / "Sora.app" / "Exports").exists()


def test_no_package_is_committed() -> None:
    listed = ["git", "ls-files", "--", "runtime/ios"]
    found = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip("not a git checkout")
    assert [line for line in found.stdout.splitlines() if ".mlpackage" in line or "/Export/" in line] == []


def test_every_command_of_the_page_about_the_app_is_known() -> None:
    """The verbs of ondevice-sora and sora, and the scripts. What Xcode's tools take, nobody here can tell."""
    page = (ROOT / "docs" / "iphone.md").read_text(encoding="utf-8")
    lines = [line.strip() for line in page.splitlines() if line.startswith("    ")]
    verbs = {match[1] for line in lines if (match := re.match(r"ondevice-sora (\w+)", line))}
    assert verbs == {"export", "weights", "report", "profile", "schedule"}
    assert verbs <= set(VERBS)
    ours = {match[1] for line in lines if (match := re.match(r"runtime/ios/.build/release/sora (\w+)", line))}
    usage = (PACKAGE / "Sources" / "sora" / "Sora.swift").read_text(encoding="utf-8")
    assert ours == {"compile", "profile"}
    assert [verb for verb in ours if f"sora {verb} EXPORT" not in usage] == []
    assert [name for name in re.findall(r"scripts/[\w-]+", page) if not (ROOT / name).is_file()] == []


# What the app says

LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')


def test_what_the_app_says_stands_in_one_place() -> None:
    """In the views only names of symbols are written, no words: those are in SoraModels/Texts.swift, and tested."""
    for path in sorted((APP / "Sora").rglob("*.swift")):
        code = [line.partition("//")[0] for line in path.read_text(encoding="utf-8").splitlines()]
        words = [text for line in code for text in LITERAL.findall(line) if " " in text or text[:1].isupper()]
        assert [text for text in words if text not in ALLOWED] == [], path.name


ALLOWED = {"Exports", "Videos", "Captures"}


def test_all_that_has_a_picture_has_words_for_those_who_do_not_see_it() -> None:
    """A symbol stands in a Label, whose title VoiceOver reads, never alone."""
    code = "".join(path.read_text(encoding="utf-8") for path in (APP / "Sora").rglob("*.swift"))
    assert "Image(" not in code
    for ignored in re.finditer(r"accessibilityElement\(children: \.ignore\)\s*\.(\w+)", code):
        assert ignored[1] == "accessibilityLabel"


def test_type_and_colours_are_the_systems() -> None:
    """So that larger type and the dark mode are followed."""
    code = "".join(path.read_text(encoding="utf-8") for path in (APP / "Sora").rglob("*.swift"))
    assert re.findall(r"\.system\(size|Color\(red|\.black\b|\.white\b|colorScheme", code) == []
