"""A playbook, run by Ansible as PyPI has it, that logs in and writes as the collection does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.webui_process import PASSWORD, Collection, WebProcess

PROGRAM = Path(__file__).parents[2] / ".build/ansible/bin/ansible-playbook"

PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  module_defaults:
    ansible.builtin.uri:
      method: POST
      body_format: json
      validate_certs: false
      return_content: true
  vars:
    config: "{{ web }}api/tenants/config/"
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    policy: [default-domain, default-project, by-ansible]
  tasks:
    - ansible.builtin.uri:
        url: "{{ web }}authenticate"
        body: {username: admin, password: "{{ lookup('env', 'WEB_PASSWORD') }}"}
      register: login
      no_log: true
    - set_fact:
        headers: {cookie: "{{ login.cookies_string }}", x-csrf-token: "{{ login.cookies._csrf }}"}
    - ansible.builtin.uri:
        url: "{{ config }}create-config-object"
        headers: "{{ headers }}"
        body: {network-policy: {fq_name: "{{ policy }}", parent_type: project}}
      register: made
    - set_fact: {uuid: "{{ made.json.configData['network-policy'].uuid }}"}
    - ansible.builtin.uri:
        url: "{{ config }}update-config-object"
        headers: "{{ headers }}"
        body: {network-policy: {uuid: "{{ uuid }}", display_name: changed}}
    - ansible.builtin.uri:
        url: "{{ config }}get-config-objects"
        headers: "{{ headers }}"
        body: {data: [{type: network-policy, uuid: ["{{ uuid }}"]}]}
      register: found
    - assert: {that: "found.json[0]['network-policy'].display_name == 'changed'"}
    - ansible.builtin.uri:
        url: "{{ config }}delete"
        headers: "{{ headers }}"
        body: [{type: network-policy, deleteIDs: ["{{ uuid }}"]}]
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[WebProcess]:
    process = WebProcess(tmp_path)
    process.start()
    yield process
    process.stop()


def test_a_playbook_makes_changes_and_deletes(process: WebProcess, tmp_path: Path) -> None:
    assert PROGRAM.exists(), f"{PROGRAM} is missing: 'make install-test' makes it"
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "WEB_PASSWORD": PASSWORD,
        "LC_ALL": "C.UTF-8",
    }
    argv = [str(PROGRAM), "-i", "localhost,", "-c", "local", "-e", f"web={process.web}", "play.yml"]
    done = subprocess.run(
        argv,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    name = ["default-domain", "default-project", "by-ansible"]
    assert Collection(process).uuid("network-policy", name) is None
