# To be sourced in the repository's root: sets PEERS to a Python with the peers, unless it names one already.
if [ -z "${PEERS:-}" ]; then
    scripts/peers/setup.sh
    PEERS=target/peers/bin/python
fi
