#!/bin/sh
# Installs the encoder's peers from PyPI, in pinned versions, and makes their models from the weights that
# `make weights` fetches. Needs python3 with venv; nothing is installed outside build/.
set -e
cd "$(dirname "$0")"
mkdir -p build
cd build

pins="onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 nncf==3.4.0 tokenizers==0.23.3 safetensors==0.8.0"
[ "$(cat venv/pins 2>/dev/null)" = "$pins" ] || {
	rm -rf venv models
	python3 -m venv venv
	venv/bin/pip install -q $pins
	echo "$pins" > venv/pins
}
weights=${GOMAI_TESTDATA:-${XDG_CACHE_HOME:-$HOME/.cache}/gomai-test}/all-MiniLM-L6-v2
[ -f "$weights/model.safetensors" ] || { echo "setup.sh: no weights in $weights: run \`make weights\`" >&2; exit 1; }
[ models -nt ../export.py ] || {
	rm -rf models new
	venv/bin/python ../export.py "$weights" ../../../../models/micro/testdata/stsb-en-dev.tsv new
	mv new models
}
