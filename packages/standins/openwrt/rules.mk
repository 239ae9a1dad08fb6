# What the package takes of OpenWrt's rules.mk, in few words. packages/check reads it, nothing else.

INCLUDE_DIR:=$(TOPDIR)/include
toupper=$(shell echo $(1) | tr a-z A-Z)
INSTALL_DIR:=install -d -m0755
INSTALL_BIN:=install -m0755
INSTALL_CONF:=install -m0600
